// What a run says of each step: an object on a line of log.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/append_file.h"
#include "base/json_value.h"

namespace stablelm {

struct StepLog {
  int64_t step = 0;   // from 1
  int64_t steps = 0;  // of the run
  double epoch = 0;   // that the run has behind it after the step
  double loss = 0;
  double smoothed_loss = 0;  // exponential mean over about 20 steps
  double rate = 0;
  double gradient_norm = 0;
  double loss_scale = 1;
  int64_t tokens = 0;         // of the step
  int64_t loss_tokens = 0;    // of them with loss
  double seconds = 0;         // of the step
  bool skipped = false;       // nothing was updated
  std::string overflow = {};  // where the first value that is not finite appeared

  double TokensPerSecond() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};
JsonValue StepJson(const StepLog& step);

// Appends lines. For one thread. Throws Error when the file cannot be written.
class RunLog {
 public:
  explicit RunLog(const std::filesystem::path& file) : file_(file) {}
  void Append(const JsonValue& object) { file_.Append(object.Dump() + "\n"); }

 private:
  AppendFile file_;
};

}  // namespace stablelm
