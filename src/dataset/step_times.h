// How long the steps of a preparation took, summed over its threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace stablelm {

enum class PrepareStep : uint8_t {
  kReading,     // files to rows, hashes of the files, waiting for DuckDB
  kCleaning,    // rows to conversations, the cleaning steps of one row, overlap
  kTokenizing,  // conversations to samples
  kDuplicates,  // keys and signatures, and the search in them
  kPacking,     // splits and packs
  kWriting,     // temporary files, shards, the report
};
inline constexpr std::array<const char*, 6> kPrepareSteps = {"reading",    "cleaning", "tokenizing",
                                                             "duplicates", "packing",  "writing"};

// Any thread may add.
class StepTimes {
 public:
  void Add(PrepareStep step, std::chrono::steady_clock::duration time) {
    ns_[static_cast<size_t>(step)] += std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }
  std::array<double, kPrepareSteps.size()> Seconds() const {
    std::array<double, kPrepareSteps.size()> seconds{};
    for (size_t i = 0; i < seconds.size(); ++i) seconds[i] = static_cast<double>(ns_[i]) * 1e-9;
    return seconds;
  }

 private:
  std::array<std::atomic<int64_t>, kPrepareSteps.size()> ns_{};
};

// Times one step after the other, from its construction to its end. For one thread.
class StepWatch {
 public:
  StepWatch(StepTimes& times, PrepareStep first) : times_(times), step_(first) {}
  StepWatch(const StepWatch&) = delete;
  StepWatch& operator=(const StepWatch&) = delete;
  ~StepWatch() { Pause(); }
  // Ends the step and begins another.
  void Next(PrepareStep step) {
    const auto now = std::chrono::steady_clock::now();
    if (running_) times_.Add(step_, now - begin_);
    begin_ = now;
    step_ = step;
    running_ = true;
  }
  // Until Next.
  void Pause() {
    Next(step_);
    running_ = false;
  }

 private:
  StepTimes& times_;
  PrepareStep step_;
  bool running_ = true;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace stablelm
