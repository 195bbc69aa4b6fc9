// log.jsonl: what a run says, an object on each line.
//
//   {"event": "start", "step": 0, ...}       once: model, settings with their origins, data (train/run_watches.h)
//   {"event": "step", "step": N, ...}        StepJson
//   {"event": "validation", "step": N, ...}  ValidationJson (train/validation.h)
//   {"event": "samples", "step": N, ...}     SamplesJson (train/sample_answers.h)
//   {"event": "guard", "step": N, ...}       train/divergence_guard.h
// Readers leave events aside that they do not know. Two runs of the same recipe and data, interrupted or not, have the
// same lines but for the members that measure (kMeasuredKeys).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/append_file.h"
#include "base/json_value.h"

namespace stablelm {

inline constexpr size_t kRecentSteps = 20;  // of StepLog::smoothed_loss

struct StepLog {
  int64_t step = 0;   // from 1
  int64_t steps = 0;  // of the run
  double epoch = 0;   // that the run has behind it after the step
  double loss = 0;
  double smoothed_loss = 0;  // mean of the last kRecentSteps updates, skipped steps left out
  double rate = 0;
  double gradient_norm = 0;
  double loss_scale = 1;
  int64_t tokens = 0;          // of the step
  int64_t loss_tokens = 0;     // of them with loss
  double seconds = 0;          // of the step
  double checkpoint_wait = 0;  // of them, that the update waited for a checkpoint
  uint64_t memory_bytes = 0;   // resident memory of the process after the step
  bool skipped = false;        // nothing was updated
  std::string overflow = {};   // where the first value that is not finite appeared

  double TokensPerSecond() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};
JsonValue StepJson(const StepLog& step);

inline constexpr const char* kLogFile = "log.jsonl";
// Members of log objects that say how long something took and what memory it used: all that a comparison of two logs
// leaves out.
inline constexpr std::string_view kMeasuredKeys[] = {"seconds", "tokens_per_s", "memory_bytes", "waited_s"};

// Appends lines. For one thread. Throws Error when the file cannot be written.
class RunLog {
 public:
  explicit RunLog(const std::filesystem::path& file) : file_(file) {}
  void Append(const JsonValue& object) { file_.Append(object.Dump() + "\n"); }
  void Flush() const { file_.Flush(); }  // to the disk; any thread

 private:
  AppendFile file_;
};

}  // namespace stablelm
