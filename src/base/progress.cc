#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/number_text.h"
#include "base/progress_line.h"
#include "base/stopwatch.h"
#include "base/system.h"

namespace stablelm {
namespace {

size_t TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string label, uint64_t total, Unit unit, bool shown, ProgressMore more)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      shown_(shown),
      more_(std::move(more)),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { Finish(); }

double Progress::Elapsed() const { return SecondsSince(start_); }

void Progress::Add(uint64_t amount) {
  const uint64_t done = done_.fetch_add(amount, std::memory_order_relaxed) + amount;
  DrawNowAndThen();
  if (more_.listener) TellListener(more_.already + done);
}

void Progress::TellListener(uint64_t done) {
  const bool all = done >= total_;
  if (!all && Elapsed() < next_call_s_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(listener_mutex_);
  if (done <= told_) return;
  next_call_s_.store(Elapsed() + 0.1, std::memory_order_relaxed);
  told_ = done;
  more_.listener(done, total_);
}

void Progress::AddAlso(uint64_t amount) {
  also_.fetch_add(amount, std::memory_order_relaxed);
  DrawNowAndThen();
}

void Progress::DrawNowAndThen() {
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
  const uint64_t done = done_.load(std::memory_order_relaxed), all = more_.already + done;
  const double share = total_ ? std::min(1.0, static_cast<double>(all) / static_cast<double>(total_)) : 0;
  const double seconds = std::max(now, 1e-9);
  const auto amount = [&](uint64_t n) { return unit_ == Unit::kBytes ? HumanBytes(n) : std::to_string(n); };
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3.0f %%", share * 100);
  std::string line = std::string(percent) + "  " + amount(all) + " of " + amount(total_) + ", ";
  if (more_.also.empty()) {
    line += amount(static_cast<uint64_t>(static_cast<double>(done) / seconds)) + "/s";
  } else {
    const double per_s = static_cast<double>(also_.load(std::memory_order_relaxed)) / seconds;
    line += Rounded(per_s, per_s < 10 ? 1 : 0) + " " + more_.also + "/s";
  }
  if (last) {
    line += ", " + Rounded(now, 1) + " s";
  } else if (done > 0) {
    const uint64_t rest = total_ > all ? total_ - all : 0;
    line += ", " + DurationText(seconds / static_cast<double>(done) * static_cast<double>(rest)) + " left";
  }
  line = terminal_ ? ProgressLine(label_, share, line, TerminalColumns()) : label_ + " " + line;
  std::fprintf(stderr, terminal_ ? "\r%s\033[K%s" : "%s%s", line.c_str(), terminal_ && !last ? "" : "\n");
  std::fflush(stderr);
}

}  // namespace stablelm
