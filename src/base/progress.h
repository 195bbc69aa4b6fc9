// Progress of long work, on stderr: a bar that redraws itself on a terminal, a plain line now and then when not.
// Nothing is shown for work that ends within a second.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace stablelm {

struct ProgressMore {
  uint64_t already = 0;   // of the total, done before this began: in the bar, but not in the speed
  std::string also = {};  // what AddAlso counts, "tokens": its speed is shown in place of the items'
};

// Add and AddAlso may be called from any thread. Finish (or destruction) ends the bar with a final line if anything was
// shown.
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
  std::atomic<uint64_t> done_{0};  // since this began
  std::atomic<uint64_t> also_{0};
  std::atomic<double> next_draw_s_{1.0};
  std::mutex mutex_;
  bool drawn_ = false;
  bool finished_ = false;
};

}  // namespace stablelm
