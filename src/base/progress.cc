#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/stopwatch.h"
#include "base/system.h"

namespace stablelm {

Progress::Progress(std::string label, uint64_t total, Unit unit, bool shown)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      shown_(shown),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { Finish(); }

double Progress::Elapsed() const { return SecondsSince(start_); }

void Progress::Add(uint64_t amount) {
  done_.fetch_add(amount, std::memory_order_relaxed);
  if (!shown_) return;
  const double now = Elapsed();
  if (now < next_draw_s_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  if (now < next_draw_s_.load(std::memory_order_relaxed) || finished_) return;
  next_draw_s_.store(now + (terminal_ ? 0.1 : 5.0), std::memory_order_relaxed);
  Draw(now, false);
}

void Progress::Finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (drawn_) Draw(Elapsed(), true);
}

void Progress::Draw(double now, bool last) {
  drawn_ = true;
  const uint64_t done = done_.load(std::memory_order_relaxed);
  const double share = total_ ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0;
  const double per_s = static_cast<double>(done) / std::max(now, 1e-9);
  const auto amount = [&](uint64_t n) { return unit_ == Unit::kBytes ? HumanBytes(n) : std::to_string(n); };
  std::string line = label_ + " ";
  if (terminal_) {
    constexpr int kWidth = 24;
    const int full = static_cast<int>(share * kWidth);
    for (int i = 0; i < kWidth; ++i) line += i < full ? "━" : "─";
    line += " ";
  }
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3.0f %%", share * 100);
  line += std::string(percent) + "  " + amount(done) + " of " + amount(total_) + ", " +
          amount(static_cast<uint64_t>(per_s)) + "/s";
  char time[32];
  if (last) {
    std::snprintf(time, sizeof time, ", %.1f s", now);
  } else {
    std::snprintf(time, sizeof time, ", %.0f s left", share > 0 ? now / share - now : 0.0);
  }
  line += time;
  std::fprintf(stderr, terminal_ ? "\r%s\033[K%s" : "%s%s", line.c_str(), terminal_ && !last ? "" : "\n");
  std::fflush(stderr);
}

}  // namespace stablelm
