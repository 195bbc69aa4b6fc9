// The log of a run, read back: whole lines, half a line, damaged lines by number. Its report: escaped and complete.
#include "train/run_report.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "base/mapped_file.h"
#include "error_info.h"
#include "temp_folder.h"
#include "train/sample_answers.h"
#include "train/validation.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::Not;

JsonValue AtStep(JsonValue object, int64_t step) {
  object["step"] = step;
  object["seconds"] = 0.5;
  return object;
}

class RunReportTest : public testing::Test {
 protected:
  RunReportTest() {
    const JsonValue split = {{"conversations", 9}, {"packs", 3}, {"tokens", 1000}, {"targets", 250}};
    const JsonValue source = {
        {"name", "<b>mine</b>"}, {"kind", "messages"}, {"licence", nullptr}, {"rows", 10}, {"kept", 9},
        {"samples", 9},          {"tokens", 1000},     {"targets", 250}};
    JsonValue setting = {{"key", "samples.prompts"}, {"value", "[\"<i>\"]"}, {"origin", "recipe"}};
    JsonValue settings = JsonValue::Array(), sources = JsonValue::Array();
    settings.push_back(setting);
    sources.push_back(source);
    lines_.push_back({{"event", "start"},
                      {"step", 0},
                      {"name", "a & b"},
                      {"model", "init"},
                      {"parameters", 5000},
                      {"trained", 400},
                      {"steps", 30},
                      {"settings", settings},
                      {"data", {{"name", "chats"}, {"splits", {{"train", split}}}, {"sources", sources}}}});
    Validate(0, 6, 7);
    Sample(0, "hello <script>alert(1)</script>", false);
    for (int64_t step = 1; step <= 30; ++step) {
      StepLog log = {.step = step, .steps = 30, .epoch = static_cast<double>(step) / 10};
      log.loss = 6.0 / static_cast<double>(step);
      log.smoothed_loss = log.loss;
      log.rate = 1e-3;
      log.gradient_norm = 2;
      log.tokens = 100;
      log.loss_tokens = 25;
      log.seconds = 0.1;
      log.memory_bytes = 5'000'000;
      if (step == 7) {
        log.loss = std::nan("");
        log.gradient_norm = INFINITY;
        log.skipped = true;
        log.overflow = "layer 3, <mlp>";
      }
      lines_.push_back(StepJson(log));
      if (step == 7) {
        lines_.push_back(
            AtStep({{"event", "guard"}, {"found", "not finite"}, {"action", "skip"}, {"place", "layer 3, <mlp>"}}, 7));
      }
      if (step % 10 == 0) Validate(step, 6.0 / static_cast<double>(step), 5);
      if (step % 10 == 0) Sample(step, "answer " + std::to_string(step) + "\nUser: me", step == 30);
    }
    lines_.push_back(AtStep({{"event", "of later versions"}}, 30));
  }
  void Validate(int64_t step, double a, double b) {
    const ValidationResult result = {{{"a", a * 10, 10}, {"b", b * 30, 30}}};
    lines_.push_back(AtStep(ValidationJson(result), step));
  }
  void Sample(int64_t step, const std::string& answer, bool stopped) {
    SampleRound round;
    round.answers = {{.prompt = "What is <blue>?",
                      .text = answer,
                      .stopped = stopped,
                      .self_dialogue = HoldsRoleLine(answer),
                      .tokens = 9}};
    if (stopped) round.answers[0].end = FinishReason::kStop;
    lines_.push_back(AtStep(SamplesJson(round), step));
  }
  std::string Text() const {
    std::string text;
    for (const JsonValue& line : lines_) text += line.Dump() + "\n";
    return text;
  }
  LoggedRun Read(const std::string& text) {
    std::ofstream(folder_.path() / kLogFile, std::ios::binary) << text;
    return ReadRunLog(folder_.path() / kLogFile);
  }
  TempFolder folder_;
  std::vector<JsonValue> lines_;
};

TEST_F(RunReportTest, TheLogIsReadBack) {
  const LoggedRun run = Read(Text());
  EXPECT_EQ(run.start.name, "a & b");
  EXPECT_EQ(run.start.trained, 400u);
  ASSERT_EQ(run.start.settings.size(), 1u);
  EXPECT_EQ(run.start.settings[0].origin, "recipe");
  ASSERT_EQ(run.start.sources.size(), 1u);
  EXPECT_EQ(run.start.sources[0].licence, "");
  ASSERT_EQ(run.steps.size(), 30u);
  EXPECT_EQ(StepJson(run.steps[4]).Dump(), lines_[7].Dump());  // all of it
  EXPECT_TRUE(std::isnan(run.steps[6].loss));
  EXPECT_EQ(run.steps[6].overflow, "layer 3, <mlp>");
  ASSERT_EQ(run.validations.size(), 4u);
  EXPECT_EQ(run.validations[3].loss, (0.2 * 10 + 5 * 30) / 40);
  EXPECT_EQ(run.validations[3].sources[1].second, 5);
  ASSERT_EQ(run.samples.size(), 4u);
  EXPECT_TRUE(run.samples[3].answers[0].self_dialogue);
  EXPECT_EQ(run.samples[3].stop_rate, 1);
  ASSERT_EQ(run.guards.size(), 1u);
  EXPECT_EQ(run.other_seconds, 4.0);
}

TEST_F(RunReportTest, HalfALastLineIsLeftOut) {
  const std::string text = Text();
  EXPECT_EQ(Read(text + lines_[5].Dump()).steps.size(), 30u);
  EXPECT_EQ(Read(text + "{\"event\":\"st").steps.size(), 30u);
  EXPECT_EQ(Read("").steps.size(), 0u);
}

TEST_F(RunReportTest, DamagedLinesAreNamed) {
  const auto refused = [&](const std::string& line, const std::string& where, const std::string& found) {
    const std::string good = lines_[0].Dump() + "\n" + lines_[3].Dump() + "\n";
    EXPECT_THAT(InfoOf([&] { Read(good + line + "\n" + lines_[4].Dump() + "\n"); }),
                Names(HasSubstr("log.jsonl: line 3" + where), HasSubstr(found)));
  };
  const std::string step = lines_[4].Dump();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = step;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  };
  refused("{\"event\":", "", "");
  refused("[1]", "", "[1]");
  refused("{\"step\":4}", ": event", "nothing");
  refused(with("\"step\":2", "\"step\":1"), ": step", "1");
  refused(with("\"step\":2", "\"step\":-2"), ": step", "-2");
  refused(with("\"loss\":3.0", "\"loss\":\"3\""), ": loss", "\"3\"");
  refused(with("\"skipped\":false", "\"skipped\":0"), ": skipped", "0");
  refused(R"({"event":"validation","step":1,"loss":1,"sources":{"a":3},"seconds":1})", ": sources: a", "3");
  refused(R"({"event":"samples","step":1,"stop_rate":1,"self_dialogue_rate":0,"answers":{},"seconds":1})", ": answers",
          "{}");
}

TEST_F(RunReportTest, TheReportShowsAllAndEscapesTexts) {
  std::ofstream(folder_.path() / kLogFile, std::ios::binary) << Text();
  EXPECT_EQ(WriteRunReport(folder_.path()), folder_.path() / "report.html");
  const std::string html = ReadTextFile(WriteRunReport(folder_.path()), 1 << 20);
  for (const char* part :
       {"<title>a &amp; b: training run</title>", "&lt;b&gt;mine&lt;/b&gt;", "&lt;script&gt;alert(1)",
        "What is &lt;blue&gt;?", "[&quot;&lt;i&gt;&quot;]", "layer 3, &lt;mlp&gt;", "5,000 parameters, 400 trained",
        "not stated", "answer 30\nUser: me", "talks to itself", "2 more between", "Loss by step",
        "Validation loss by source", "3,000</b><span>tokens"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  for (const char* part : {"<script", "<b>mine", "<blue>", "<mlp>", "nan", "inf\"", "http:", "https:"}) {
    EXPECT_THAT(html, Not(HasSubstr(part)));
  }
}

TEST_F(RunReportTest, ARunWithoutStepsAndOneThatGoesOnHaveReports) {
  EXPECT_THAT(RunReport(LoggedRun()), HasSubstr("No step was made yet"));
  LoggedRun run = Read(Text());
  run.steps.resize(1);
  EXPECT_THAT(RunReport(run), HasSubstr("Not finished: 1 of 30 steps"));
  for (StepLog& step : run.steps) step.loss = step.smoothed_loss = step.gradient_norm = std::nan("");
  run.validations.clear();
  run.samples.clear();
  EXPECT_THAT(RunReport(run), HasSubstr("not finite"));
}

TEST_F(RunReportTest, TheTrainingLossIsThatOfTheLastSteps) {
  LoggedRun run = Read(Text());
  EXPECT_THAT(RunReport(run), HasSubstr("<b>0.2000</b><span>training loss, mean of the last 20 steps"));
  run.steps.resize(8);
  EXPECT_THAT(RunReport(run), HasSubstr("mean of the last 7 steps"));  // step 7 was skipped
  for (StepLog& step : run.steps) step.skipped = true;
  EXPECT_THAT(RunReport(run), Not(HasSubstr("training loss, mean")));
}

TEST_F(RunReportTest, LongRunsAreDrawnWithFewPoints) {
  LoggedRun run = Read(Text());
  const StepLog first = run.steps[0];
  run.steps.clear();
  for (int64_t step = 1; step <= 200'000; ++step) {
    StepLog log = first;
    log.step = step;
    log.steps = 200'000;
    log.loss = 2 + std::sin(static_cast<double>(step));
    if (step == 123'456) log.loss = 2.9999;  // the highest
    run.steps.push_back(log);
  }
  EXPECT_LT(RunReport(run).size(), 300'000u);
}

TEST_F(RunReportTest, AnotherFolderIsRefused) {
  EXPECT_THAT(InfoOf([&] { WriteRunReport(folder_.path()); }), Names(folder_.path().string(), "no log.jsonl"));
  EXPECT_THAT(InfoOf([&] { WriteRunReport(folder_.path() / "none"); }).what, "there is no such folder");
}

}  // namespace
}  // namespace stablelm
