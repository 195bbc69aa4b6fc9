// What the frame does for every command, tested with a command defined here: unchanged text bytes, strict values,
// unknown options, exceptions as messages and exit codes.
#include "cli/app/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <new>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/app/options.h"
#include "cli/app/program.h"
#include "ops/kv_layout.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

class Echo : public Command {
 public:
  std::string Name() const override { return "test echo"; }
  std::string Summary() const override { return "prints its text"; }
  std::string Examples() const override { return "  stablelm test echo hello"; }
  unsigned Takes() const override { return kTakesModel | kTakesThreads | kTakesDtype | kTakesKv; }
  void AddOptions(CLI::App& app) override {
    AddTextInput(app, input_, "TEXT");
    AddNumber(app, "--temperature", temperature_, Limits<double>{0, 2}, "How hot");
    AddText(app, "--fail", "HOW", fail_, "Fail");
  }
  int Run(Output& out) override {
    if (fail_ == "error") throw Error({.where = "x.bin", .what = "bad", .hint = "try y"});
    if (fail_ == "memory") throw std::bad_alloc();
    if (fail_ == "other") throw std::runtime_error("surprise");
    const std::string text = ReadTextInput(input_, out);
    if (out.json()) {
      out.Json({{"text", text},
                {"model", common.model},
                {"threads", common.threads},
                {"dtype", common.dtype ? NameOf(*common.dtype) : "stored"},
                {"compute", NameOf(common.compute)},
                {"kv", KvTypeName(common.kv)},
                {"temperature", temperature_ ? *temperature_ : -1}});
    } else {
      out.Text(text);
    }
    return kExitOk;
  }

 private:
  TextInput input_;
  std::optional<double> temperature_;
  std::string fail_;
};

struct Result {
  int exit_code;
  std::string out, err;
};

Result RunEcho(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"test", "echo"});
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<Echo>());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Result result;
  result.exit_code = RunProgram(arguments, commands);
  result.out = testing::internal::GetCapturedStdout();
  result.err = testing::internal::GetCapturedStderr();
  return result;
}

TEST(Command, TextIsTakenAsItIs) {
  for (const char* text : {"hello", "  two  words \n", "{}", "[a,b]", "[]", "++", "", "a=b", "%%", "\"quoted\"", "test",
                           "echo", "\xE6\xBC\xA2\xE5\xAD\x97", "/h", "help", "-5"}) {
    const Result result = RunEcho({text});
    EXPECT_EQ(result.exit_code, 0) << text << result.err;
    EXPECT_EQ(result.out, text);
  }
  EXPECT_EQ(RunEcho({"--", "-dash"}).out, "-dash");
  EXPECT_EQ(RunEcho({"--", "--json"}).out, "--json");
  EXPECT_EQ(RunEcho({"--", "--"}).out, "--");
}

TEST(Command, CommonOptions) {
  const auto json = nlohmann::json::parse(RunEcho({"-m", "a/b", "--threads=3", "--dtype", "bf16", "--kv", "fp16",
                                                   "--compute", "fast", "--json", "--temperature", "0.5", "x"})
                                              .out);
  EXPECT_EQ(json.at("model"), "a/b");
  EXPECT_EQ(json.at("threads"), 3);
  EXPECT_EQ(json.at("dtype"), "bf16");
  EXPECT_EQ(json.at("kv"), "fp16");
  EXPECT_EQ(json.at("compute"), "fast");
  EXPECT_EQ(json.at("temperature"), 0.5);
  EXPECT_EQ(nlohmann::json::parse(RunEcho({"--kv", "q8", "--json", "x"}).out).at("kv"), "q8");
  const auto defaults = nlohmann::json::parse(RunEcho({"--json", "x"}).out);
  EXPECT_EQ(defaults.at("dtype"), "stored");
  EXPECT_EQ(defaults.at("kv"), "fp32");
  EXPECT_EQ(defaults.at("compute"), "exact");
  EXPECT_EQ(defaults.at("temperature"), -1);
  EXPECT_GE(defaults.at("threads"), 1);
}

TEST(Command, WrongUsageIsRefusedWithTheNextStep) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::vector<Case> cases = {
      {{"--theads", "2", "x"}, "unknown option \"--theads\"\nhint:  did you mean --threads?"},
      {{"--temprature=1", "x"}, "unknown option \"--temprature\"\nhint:  did you mean --temperature?"},
      {{"-q", "x"}, "unknown option \"-q\""},
      {{"a", "b"}, "unexpected argument \"b\""},
      {{"--threads", "two", "x"}, "--threads: not a number: found \"two\""},
      {{"--threads", "-5", "x"}, "--threads: number out of range"},
      {{"--temperature", "nan", "x"}, "--temperature: not a number"},
      {{"--dtype", "fp61", "x"},
       "--dtype: unknown value: found \"fp61\", expected stored|fp32|fp16|bf16\nhint:  did you mean fp16?"},
      {{"--kv", "bf16", "x"}, "--kv: unknown value"},
      {{"--compute", "quick", "x"}, "--compute: unknown value"},
      {{"--threads"}, "--threads"},
      {{"x", "--file", "y"}, "input is given twice"},
  };
  for (const Case& c : cases) {
    const Result result = RunEcho(c.arguments);
    EXPECT_EQ(result.exit_code, 2) << c.message;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("error: "));
    EXPECT_THAT(result.err, HasSubstr(c.message));
    EXPECT_THAT(result.err, HasSubstr("\nhint:  "));  // there is always a next step
  }
}

TEST(Command, FailuresHaveMessagesAndExitCodeOne) {
  EXPECT_EQ(RunEcho({"--fail", "error"}).err, "error: x.bin: bad\nhint:  try y\n");
  for (const char* how : {"error", "memory", "other"}) {
    const Result result = RunEcho({"--fail", how, "--json"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
  }
  EXPECT_THAT(RunEcho({"--fail", "memory"}).err, HasSubstr("out of memory"));
  EXPECT_THAT(RunEcho({"--fail", "other"}).err, HasSubstr("surprise"));
  EXPECT_THAT(RunEcho({"a\xFFz"}).err, HasSubstr("not UTF-8 at byte 1"));
  EXPECT_EQ(RunEcho({"a\xFFz", "--invalid-utf8", "replace"}).out, "a\xEF\xBF\xBDz");
  EXPECT_THAT(RunEcho({"--file", "/no/such/file"}).err, HasSubstr("/no/such/file: cannot open"));
  EXPECT_THAT(RunEcho({"--file", "/"}).err, HasSubstr("is a folder"));
}

TEST(Command, HelpHasOptionsAndExamples) {
  const Result result = RunEcho({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* word :
       {"stablelm test echo", "prints its text", "--threads", "--invalid-utf8", "--json", "Examples:"}) {
    EXPECT_THAT(result.out, HasSubstr(word));
  }
  EXPECT_THAT(result.out, HasSubstr("stablelm test echo -m MODEL [TEXT] [OPTIONS]"));
  EXPECT_THAT(result.out, Not(HasSubstr("\n\n\n")));
}

}  // namespace
}  // namespace stablelm
