#include "cli/commands/finetune_lines.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "base/progress_line.h"
#include "base/system.h"
#include "base/utf8.h"
#include "cli/terminal/text_rows.h"
#include "train/run_report.h"

namespace stablelm {
namespace {

std::string Padded(std::string text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + std::move(text);
}

// A text of a model on one line, its beginning at most.
std::string Beginning(std::string_view text) {
  constexpr size_t kMost = 80;  // characters
  std::string out;
  size_t characters = 0;
  while (!text.empty()) {
    if (characters++ == kMost) return out + "...";
    const utf8::Decoded one = utf8::DecodeOne(text);
    const bool line_end = one.code_point == '\n' || one.code_point == '\r';
    utf8::Append(line_end ? U' ' : one.code_point, out);
    text.remove_prefix(one.bytes);
  }
  return out;
}

std::string StartText(const JsonValue& line) {
  const JsonValue& data = line.At("data");
  const uint64_t all = line.At("parameters").Whole(), trained = line.At("trained").Whole();
  std::string text = line.At("name").Text() + ": " + Grouped(line.At("steps").Whole()) + " steps, " + Grouped(all) +
                     " parameters, " + (all == trained ? "all" : Grouped(trained)) + " trained; data " +
                     data.At("name").Text();
  std::vector<std::pair<std::string, std::string>> rows;
  size_t widest = 0;
  for (const JsonValue& setting : line.At("settings").items()) {
    std::string left = setting.At("key").Text() + ": " + setting.At("value").Text();
    if (left.size() <= 60) widest = std::max(widest, left.size());
    rows.emplace_back(std::move(left), setting.At("origin").Text());
  }
  for (const auto& [left, origin] : rows) {
    text += "\n  " + left + std::string(widest - std::min(widest, left.size()), ' ') + "  # " + origin;
  }
  return text;
}

std::string ValidationText(const JsonValue& line) {
  std::string text =
      "validation at step " + std::to_string(line.At("step").Whole()) + "  loss " + Rounded(line.At("loss").Real(), 4);
  const JsonValue& sources = line.At("sources");
  for (size_t i = 0; sources.size() > 1 && i < sources.size(); ++i) {
    text += (i == 0 ? "  (" : ", ") + sources.names()[i] + " " + Rounded(sources.items()[i].At("loss").Real(), 4);
  }
  return text + (sources.size() > 1 ? ")" : "");
}

std::string SamplesText(const JsonValue& line) {
  const std::vector<JsonValue>& answers = line.At("answers").items();
  const auto of_all = [&](const char* rate) {
    return std::to_string(static_cast<int64_t>(line.At(rate).Real() * static_cast<double>(answers.size()) + 0.5)) +
           " of " + std::to_string(answers.size());
  };
  std::string text = "answers at step " + std::to_string(line.At("step").Whole()) + "  ended by themselves " +
                     of_all("stop_rate") + "  talk to themselves " + of_all("self_dialogue_rate");
  for (const JsonValue& answer : answers) {
    const std::string& end = answer.At("end").Text();
    text += "\n  > " + Beginning(answer.At("prompt").Text());
    text += "\n    " + Beginning(answer.At("answer").Text()) + (end == "stop" ? "" : " [" + end + "]");
  }
  return text;
}

std::string GuardText(const JsonValue& line) {
  const std::string& action = line.At("action").Text();
  std::string text = "guard at step " + std::to_string(line.At("step").Whole()) + "  ";
  if (line.At("found").Text() == "spike") {
    text += "the loss jumped to " + Rounded(line.At("loss").Real(), 4) + ", " + Rounded(line.At("z").Real(), 1) +
            " deviations above " + Rounded(line.At("mean").Real(), 4);
  } else {
    text += "not finite: " + line.At("place").Text();
  }
  if (action == "lower") return text + "; rate x " + NumberText(line.At("rate_factor").Real()) + " from here on";
  return text + (action == "skip" ? "; step skipped" : "; the run stops");
}

}  // namespace

std::string StepText(const StepLog& step) {
  const std::string steps = std::to_string(step.steps);
  char line[256], norm[32] = "-";
  if (std::isfinite(step.gradient_norm)) std::snprintf(norm, sizeof norm, "%.3g", step.gradient_norm);
  std::snprintf(line, sizeof line, "/%s  loss %.4f  smoothed %.4f  rate %.2e  norm %-5s", steps.c_str(), step.loss,
                step.smoothed_loss, step.rate, norm);
  std::string text = "step " + Padded(std::to_string(step.step), steps.size()) + line;
  if (step.loss_scale != 1) text += "  scale " + NumberText(step.loss_scale);
  text += "  " + Rounded(step.TokensPerSecond(), 0) + " tokens/s";
  return text + (step.skipped ? "  skipped" : "");  // the guard says why
}

std::string LineText(const JsonValue& line) {
  const std::string& event = line.At("event").Text();
  if (event == "start") return StartText(line);
  if (event == "validation") return ValidationText(line);
  if (event == "samples") return SamplesText(line);
  if (event == "guard") return GuardText(line);
  return {};
}

void WriteReportOrWarn(const std::filesystem::path& run, Output& out) {
  try {
    WriteRunReport(run);
  } catch (const Error& error) {
    out.Warning(error.Line() + "; the run has no report");
  }
}

FineTuneLines::FineTuneLines(Output& out) : out_(out), bar_(out.show_progress() && isatty(STDERR_FILENO) == 1) {}

FineTuneLines::~FineTuneLines() { HideBar(); }

void FineTuneLines::Step(const StepLog& step) {
  if (first_step_ < 0) {
    first_step_ = step.step;
    first_time_ = Clock::now();
  }
  last_ = step;
  skipped_ += step.skipped ? 1 : 0;
  Print(StepText(step) + (bar_ ? "" : "  " + DurationText(SecondsLeft()) + " left"), StepJson(step));
}

void FineTuneLines::Line(const JsonValue& line) { Print(LineText(line), line); }

void FineTuneLines::Print(const std::string& text, const JsonValue& object) {
  HideBar();
  if (out_.json()) {
    out_.Json(object);
  } else if (!text.empty()) {
    out_.Text(text + "\n");
  }
  out_.Flush();
  DrawBar();
}

double FineTuneLines::SecondsLeft() const {
  const int64_t since = last_.step - first_step_;
  // The first step is slower than the others: it touches memory for the first time.
  const double each = since > 0 ? SecondsSince(first_time_) / static_cast<double>(since) : last_.seconds;
  return each * static_cast<double>(last_.steps - last_.step);
}

void FineTuneLines::DrawBar() {
  if (!bar_ || first_step_ < 0 || last_.step == last_.steps) return;
  std::string text = "loss " + Rounded(last_.smoothed_loss, 3) + "  " + HumanBytes(last_.memory_bytes);
  if (skipped_ > 0) text += "  " + std::to_string(skipped_) + " skipped";
  text += "  " + DurationText(SecondsLeft()) + " left";
  const std::string label = std::to_string(last_.step) + "/" + std::to_string(last_.steps);
  const double share = static_cast<double>(last_.step) / static_cast<double>(last_.steps);
  const std::string line = ProgressLine(label, share, text, WindowOf(STDERR_FILENO).columns);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void FineTuneLines::HideBar() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace stablelm
