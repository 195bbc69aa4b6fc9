// Progress of long work on stderr: a progress bar on a terminal, otherwise occasional plain lines. Work that ends
// within a second shows nothing. Or to a listener, shown or not.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace stablelm {

struct ProgressMore {
  uint64_t already = 0;   // part of the total done before this started: counts in the bar, not in the speed
  std::string also = {};  // unit that AddAlso counts, "tokens": its speed replaces that of the items
  // Called by Add: the first time, then at most ten times a second, and when `done` reaches `total`. On the thread that
  // adds, one call at a time, in ascending order. What it throws, Add throws.
  std::function<void(uint64_t done, uint64_t total)> listener = {};
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
  void TellListener(uint64_t done);
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
  std::atomic<double> next_call_s_{0.0};  // of the listener
  std::mutex listener_mutex_;
  uint64_t told_ = 0;  // the last call's `done`
  bool drawn_ = false;
  bool finished_ = false;
};

}  // namespace stablelm
