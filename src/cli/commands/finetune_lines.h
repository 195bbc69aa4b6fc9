// What `finetune` shows while it trains: a line for each object of the log, and on a terminal a bar below them. With
// --json the objects themselves.
#pragma once

#include <filesystem>
#include <string>

#include "base/json_value.h"
#include "base/stopwatch.h"
#include "cli/app/output.h"
#include "train/run_log.h"

namespace stablelm {

// One line of text per object, without a line end at the end; "start" and "samples" take several.
std::string StepText(const StepLog& step);
std::string LineText(const JsonValue& line);  // empty for events that it does not know

// Writes RUN/report.html. A run whose report cannot be written is as good as any, so that is a warning.
void WriteReportOrWarn(const std::filesystem::path& run, Output& out);

// For one thread. The bar goes to stderr, when that is a terminal and --quiet is not given.
class FineTuneLines {
 public:
  explicit FineTuneLines(Output& out);
  FineTuneLines(const FineTuneLines&) = delete;
  FineTuneLines& operator=(const FineTuneLines&) = delete;
  ~FineTuneLines();  // removes the bar

  void Step(const StepLog& step);
  void Line(const JsonValue& line);  // any other object of the log
  // Removes the bar, for what is printed by others.
  void HideBar();

 private:
  void Print(const std::string& text, const JsonValue& object);
  void DrawBar();
  double SecondsLeft() const;

  Output& out_;
  const bool bar_;
  bool drawn_ = false;
  StepLog last_;
  int64_t first_step_ = -1;  // shown by this program
  int64_t skipped_ = 0;
  Clock::time_point first_time_;
};

}  // namespace stablelm
