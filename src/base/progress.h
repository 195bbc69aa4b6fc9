// Progress of long work on stderr: a progress bar on a terminal, otherwise occasional plain lines. Work that ends
// within a second shows nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace stablelm {

struct ProgressMore {
  uint64_t already = 0;   // part of the total done before this started: counts in the bar, not in the speed
  std::string also = {};  // unit that AddAlso counts, "tokens": its speed replaces that of the items
};

// Any thread may call Add and AddAlso. Finish (or the destructor) prints a final line if anything was shown.
class Progress {
 public:
  enum class Unit { kBytes, kItems };
  // shown = false makes every call a no-op (--quiet).
  Progress(std::string label, uint64_t total, Unit unit, bool shown = true, ProgressMore more = {});
  ~Progress();
  void Add(uint64_t amount);
  void AddAlso(uint64_t amount);
  void Finish();

 private:
  void DrawNowAndThen();
  void Draw(double now, bool last);
  double Elapsed() const;

  const std::string label_;
  const uint64_t total_;
  const Unit unit_;
  const bool shown_;
  const ProgressMore more_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<uint64_t> done_{0};  // since the start; without more_.already
  std::atomic<uint64_t> also_{0};
  std::atomic<double> next_draw_s_{1.0};
  std::mutex mutex_;
  bool drawn_ = false;
  bool finished_ = false;
};

}  // namespace stablelm
