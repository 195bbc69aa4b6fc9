// stablelm generate --input through the real program: each line equals a run of its own, byte for byte, even after
// kills.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;
namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class GenerateMany : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (temp_.path() / name).string(); }
  ProgramResult Run(const std::string& output, std::vector<std::string> more, const ProgramInput& input = {},
                    const std::string& prompts = "prompts.jsonl") const {
    std::vector<std::string> arguments = {"generate", "-m", model_, "--input", Path(prompts), "--output", Path(output)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramBinary(arguments, input);
  }
  std::vector<Json> Lines(const std::string& output) const { return JsonLines(ReadFile(Path(output))); }
  void Prompts(const std::string& text) const { WriteFile(Path("prompts.jsonl"), text); }
  // The result of a prompt run alone.
  Json Alone(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"generate", "-m", model_, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }

  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);  // 1,000 ids, context of 256 tokens; tuned
};

// 500 prompts of every kind, a few of them invalid.
std::string FiveHundredPrompts() {
  std::mt19937 random(5);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::string text;
  for (int i = 0; i < 500; ++i) {
    Json line;
    switch (below(4)) {
      case 0:
        line["ids"] = std::vector<uint32_t>(1 + below(60), 1 + below(700));
        break;
      case 1:
        line["messages"] = Json::array({{{"role", "user"}, {"content", "Question " + std::to_string(i)}}});
        break;
      default:
        line["prompt"] = (below(2) ? std::string(70, 'a') : "") + "Once upon " + std::to_string(below(9));
    }
    line["max_new_tokens"] = 1 + below(24);
    if (below(3) == 0) line["temperature"] = 0.1 * below(12);
    if (below(5) == 0) line["stop"] = "e";
    if (below(9) == 0) line["seed"] = below(100);
    if (below(40) == 0) line["temprature"] = 1;
    text += (below(50) == 0 ? "\n" : "") + line.dump() + "\n";
    if (below(60) == 0) text += "{\"prompt\": \"torn\n";
  }
  return text;
}

// The main test: killed repeatedly and resumed with other --parallel and --threads, the run writes the same file.
TEST_F(GenerateMany, NeverWritesOverItsPrompts) {
  Prompts("{\"prompt\": \"Once\"}\n");
  EXPECT_THAT(Run("prompts.jsonl", {}), Fails(2, "--output", {"--input", "another --output"}));
  fs::create_symlink("prompts.jsonl", Path("link.jsonl"));
  EXPECT_THAT(Run("link.jsonl", {}), Fails(2, "--output", {"another --output"}));
  EXPECT_EQ(ReadFile(Path("prompts.jsonl")), "{\"prompt\": \"Once\"}\n");
}

TEST_F(GenerateMany, KilledAndResumedGivesTheSameBytes) {
  Prompts(FiveHundredPrompts());
  const std::vector<std::string> settings = {"--seed", "11", "--logprobs", "--no-system"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), settings.begin(), settings.end());
    return more;
  };
  const ProgramResult whole = Run("whole.jsonl", with({"--parallel", "1", "--threads", "1"}));
  EXPECT_EQ(whole.exit_code, 1) << whole.err;  // some lines are invalid
  const std::string want = ReadFile(Path("whole.jsonl"));
  const auto lines = static_cast<size_t>(std::ranges::count(want, '\n'));
  EXPECT_GT(lines, 500u);
  EXPECT_THAT(want, AllOf(HasSubstr("\"error\":"), HasSubstr("\"finish_reason\":\"stop\"")));

  int killed = 0;
  const char* parallel[] = {"16", "3", "40", "7", "1", "16"};
  for (size_t attempt = 0; attempt < 6; ++attempt) {
    const size_t enough = want.size() * (attempt + 1) / 8;
    ProgramInput input;
    input.while_running = [&](pid_t pid) {
      std::error_code error;
      const auto size = fs::file_size(Path("out.jsonl"), error);
      if (!error && size >= enough) kill(pid, SIGKILL);
    };
    const ProgramResult result =
        Run("out.jsonl", with({"--parallel", parallel[attempt], "--threads", attempt % 2 ? "1" : "2"}), input);
    if (result.exit_code == 128 + SIGKILL) ++killed;
    const std::string part = ReadFile(Path("out.jsonl"));
    EXPECT_EQ(part, want.substr(0, part.size())) << attempt;
    // Simulate a kill in the middle of a write.
    if (attempt % 2) WriteFile(Path("out.jsonl"), part.substr(0, part.rfind('\n') + 1) + "{\"index\":");
  }
  EXPECT_GE(killed, 4);
  const size_t before = static_cast<size_t>(std::ranges::count(ReadFile(Path("out.jsonl")), '\n'));
  EXPECT_GT(before, lines / 2);
  const ProgramResult end = Run("out.jsonl", with({"--parallel", "5", "--cache-tokens", "256"}));
  EXPECT_EQ(end.exit_code, 1) << end.err;
  EXPECT_THAT(end.err, HasSubstr("going on after " + std::to_string(before) + " of " + std::to_string(lines)));
  EXPECT_TRUE(ReadFile(Path("out.jsonl")) == want);
  EXPECT_EQ(ReadFile(Path("out.jsonl.run.json")), ReadFile(Path("whole.jsonl.run.json")));
  // A finished run changes nothing when repeated.
  const ProgramResult again = Run("out.jsonl", with({}));
  EXPECT_EQ(again.exit_code, 1) << again.err;
  EXPECT_TRUE(ReadFile(Path("out.jsonl")) == want);
}

TEST_F(GenerateMany, EveryLineIsWhatThePromptGivesAlone) {
  Prompts(
      "{\"prompt\": \"Once upon\", \"temperature\": 0}\n"
      "\n"
      "{\"ids\": [5, 6, 7], \"max_new_tokens\": 3}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"top_k\": 3}\n"
      "{\"prompt\": \"Once upon\", \"seed\": 9, \"stop\": [\"zzz\"]}\n");
  const ProgramResult result =
      Run("out.jsonl", {"--max-new-tokens", "8", "--temperature", "0.9", "--seed", "4", "--no-system"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  const std::vector<Json> lines = Lines("out.jsonl");
  ASSERT_EQ(lines.size(), 4u);
  const auto expect = [&](size_t i, std::vector<std::string> more) {
    SCOPED_TRACE(i);
    more.insert(more.end(), {"--seed", std::to_string(lines[i].at("seed").get<uint64_t>())});
    const Json alone = Alone(more);
    EXPECT_EQ(lines[i].at("index"), i);
    for (const char* key : {"ids", "text", "finish_reason", "seed", "counts"}) {
      EXPECT_EQ(lines[i].at(key), alone.at(key));
    }
    for (const char* key : {"seconds", "peak_bytes", "prompt_ids", "logprobs"}) EXPECT_FALSE(lines[i].contains(key));
  };
  expect(0, {"Once upon", "--max-new-tokens", "8", "--temperature", "0"});
  expect(1, {"--ids", "5 6 7", "--max-new-tokens", "3", "--temperature", "0.9"});
  expect(2, {"--user", "Hi", "--no-system", "--max-new-tokens", "8", "--temperature", "0.9", "--top-k", "3"});
  expect(3, {"Once upon", "--max-new-tokens", "8", "--temperature", "0.9"});
  EXPECT_EQ(lines[3].at("seed"), 9);
  EXPECT_NE(lines[0].at("seed"), lines[1].at("seed"));
  EXPECT_EQ(lines[2].at("dropped"), Json({{"messages", 0}, {"tokens", 0}}));
}

TEST_F(GenerateMany, BadLinesBecomeErrorsAndTheRestGoesOn) {
  Prompts(
      "{\"prompt\": \"a\", \"temprature\": 1}\n"
      "\n"
      "not json\n"
      "{\"ids\": [1, 1000]}\n"
      "{\"prompt\": \"a\", \"top_p\": 2}\n"
      "{\"ids\": []}\n"
      "{\"prompt\": \"a\", \"stop\": \"\"}\n"
      "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}\n"
      "{\"prompt\": \"\xff\"}\n"
      "{\"prompt\": \"a\", \"mirostat\": 1}\n"
      "{\"prompt\": \"" +
      std::string(2000, 'x') +
      "\"}\n"
      "{\"prompt\": \"a\", \"stop_id\": [4000]}\n"
      "{\"prompt\": \"a\", \"output\": \"x\"}\n"
      "{\"prompt\": \"good\"}");
  const ProgramResult result = Run("out.jsonl", {"--max-new-tokens", "2"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: 12 prompts failed; their lines in"));
  const std::vector<Json> lines = Lines("out.jsonl");
  const char* says[] = {"line 1: unknown key \"temprature\"",
                        "line 3: not valid JSON",
                        "line 4: ids: index 1: token id out of range: found 1000, expected 0 to 999",
                        "line 5: top_p: number out of range: found",
                        "line 6: ids: empty",
                        "line 7: stop",
                        "line 8: messages[0].role",
                        "line 9: not valid UTF-8",
                        "line 10: mirostat: no such version",
                        "line 11: prompt: longer than the model's context",
                        "line 12: stop_id: token id out of range",
                        "line 13: unknown key \"output\""};
  ASSERT_EQ(lines.size(), std::size(says) + 1);
  for (size_t i = 0; i < std::size(says); ++i) {
    EXPECT_EQ(lines[i].at("index"), i);
    EXPECT_EQ(lines[i].size(), 2u) << lines[i];
    EXPECT_THAT(lines[i].at("error").get<std::string>(), testing::StartsWith(says[i]));
  }
  EXPECT_THAT(lines[0].at("error").get<std::string>(), HasSubstr("; hint: did you mean \"temperature\"?"));
  EXPECT_THAT(lines[11].at("error").get<std::string>(), HasSubstr("; hint: that is the option --output,"));
  EXPECT_EQ(lines.back().at("counts").at("generated"), 2);
}

TEST_F(GenerateMany, KeysOfOtherProgramsGetAHint) {
  Prompts(
      "{\"prompt\": \"a\", \"max_tokens\": 3}\n{\"prompt\": \"a\", \"n_predict\": 3}\n"
      "{\"prompt\": \"a\", \"repeat_penalty\": 1}\n{\"prompt\": \"a\", \"n\": 2}\n{\"prompt\": \"a\", \"grammar\": "
      "\"x\"}\n");
  EXPECT_EQ(Run("out.jsonl", {}).exit_code, 1);
  const std::vector<Json> lines = Lines("out.jsonl");
  const char* hints[] = {"did you mean \"max_new_tokens\"?", "did you mean \"max_new_tokens\"?",
                         "did you mean \"repetition_penalty\"?", "--samples", "grammars"};
  ASSERT_EQ(lines.size(), std::size(hints));
  for (size_t i = 0; i < std::size(hints); ++i) {
    EXPECT_THAT(lines[i].at("error").get<std::string>(), HasSubstr(hints[i]));
  }
}

TEST_F(GenerateMany, NamesAContextThatWasAskedFor) {
  Prompts("{\"prompt\": \"" + std::string(2000, 'x') + "\"}\n");
  EXPECT_EQ(Run("out.jsonl", {"-c", "64"}).exit_code, 1);
  EXPECT_THAT(Lines("out.jsonl").at(0).at("error").get<std::string>(),
              AllOf(HasSubstr("prompt: longer than --context"), HasSubstr("the model has 256")));
}

TEST_F(GenerateMany, OtherSettingsAreRefused) {
  Prompts("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
  EXPECT_EQ(Run("out.jsonl", {"--max-new-tokens", "2", "--temperature", "0.7", "--seed", "3"}).exit_code, 0);
  const std::string out = ReadFile(Path("out.jsonl"));
  const auto refused = [&](std::vector<std::string> more, const std::string& found, const std::string& expected) {
    const ProgramResult result = Run("out.jsonl", std::move(more));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, AllOf(HasSubstr("found " + found), HasSubstr("expected " + expected), HasSubstr("hint:")));
    EXPECT_EQ(ReadFile(Path("out.jsonl")), out);
  };
  const std::vector<std::string> same = {"--max-new-tokens", "2", "--temperature", "0.7"};
  refused({"--max-new-tokens", "2", "--temperature", "0.8"}, "temperature 0.8", "temperature 0.7");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--seed", "4"}, "seed 4", "seed 3");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--kv", "fp16"}, "kv \"fp16\"", "kv \"fp32\"");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--compute", "fast"}, "compute \"fast\"",
          "compute \"exact\"");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--samples", "2"}, "n 2", "n 1");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--system", "x"}, "system \"x\"", "system none");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--logit-bias", "5=-inf"}, "logit_bias {\"5\":\"-inf\"}",
          "logit_bias {}");
  refused({"--max-new-tokens", "2", "--temperature", "0.7", "--suppress-tokens", "5"}, "suppress_tokens [5]",
          "suppress_tokens none");
  // The run keeps its random seed; settings that do not affect results may change.
  EXPECT_EQ(Run("out.jsonl", same).exit_code, 0);
  EXPECT_EQ(Run("out.jsonl", {"--max-new-tokens", "2", "--temperature", "0.7", "--threads", "1", "--parallel", "3"})
                .exit_code,
            0);
  Prompts("{\"prompt\": \"a\"}\n{\"prompt\": \"c\"}\n");
  refused(same, "input ", "input ");
  Prompts("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
  WriteFile(model_ + "/generation_config.json", "{}");
  refused(same, "model generation_config.json ", "model generation_config.json none");
}

TEST_F(GenerateMany, ARandomSeedIsKept) {
  Prompts("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n{\"prompt\": \"c\"}\n");
  const std::vector<std::string> settings = {"--max-new-tokens", "20", "--temperature", "1.2"};
  EXPECT_EQ(Run("out.jsonl", settings).exit_code, 0);
  const std::string want = ReadFile(Path("out.jsonl"));
  WriteFile(Path("out.jsonl"), want.substr(0, want.find('\n') + 30));
  EXPECT_EQ(Run("out.jsonl", settings).exit_code, 0);
  EXPECT_EQ(ReadFile(Path("out.jsonl")), want);
  // Without a finished line the settings may change.
  WriteFile(Path("out.jsonl"), "{\"inde");
  EXPECT_EQ(Run("out.jsonl", {"--max-new-tokens", "1"}).exit_code, 0);
  EXPECT_EQ(Lines("out.jsonl").at(2).at("counts").at("generated"), 1);
}

TEST_F(GenerateMany, SamplesAndDetails) {
  Prompts("{\"ids\": [5, 6, 7]}\n{\"prompt\": \"Once upon a time\", \"temperature\": 0}\n{\"prompt\": \"Once\"}\n");
  const ProgramResult result = Run("out.jsonl", {"--samples", "3", "--temperature", "1", "--max-new-tokens", "5",
                                                 "--seed", "1", "--top-logprobs", "2", "--prompt-logprobs", "--echo"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  const std::vector<Json> lines = Lines("out.jsonl");
  EXPECT_THAT(lines.at(1).at("error").get<std::string>(),
              HasSubstr("line 2: --samples: every sample would be the same"));
  EXPECT_EQ(lines.at(0).at("prompt_ids"), Json({5, 6, 7}));
  EXPECT_EQ(lines.at(0).at("prompt_logprobs").size(), 2u);
  EXPECT_EQ(lines.at(0).at("prompt_top_logprobs").at(1).size(), 2u);
  EXPECT_EQ(lines.at(2).at("choices").size(), 3u);
  const Json alone =
      Alone({"Once", "--samples", "3", "--temperature", "1", "--max-new-tokens", "5", "--top-logprobs", "2",
             "--prompt-logprobs", "--echo", "--seed", std::to_string(lines.at(2).at("seed").get<uint64_t>())});
  for (const char* key : {"choices", "prompt_ids", "prompt_logprobs", "prompt_top_logprobs", "counts"}) {
    EXPECT_EQ(lines.at(2).at(key), alone.at(key)) << key;
  }
}

TEST_F(GenerateMany, CtrlCLeavesWhatIsFinishedAndSaysHowToGoOn) {
  std::string prompts;
  for (int i = 0; i < 300; ++i) prompts += "{\"prompt\": \"number " + std::to_string(i) + "\"}\n";
  Prompts(prompts);
  const std::vector<std::string> settings = {"--max-new-tokens", "30", "--ignore-eos", "--temperature", "1",
                                             "--seed",           "2"};
  bool sent = false;
  ProgramInput input;
  input.while_running = [&](pid_t pid) {
    std::error_code error;
    if (!sent && fs::exists(Path("out.jsonl"), error) && fs::file_size(Path("out.jsonl"), error) > 2000) {
      kill(pid, SIGINT);
      sent = true;
    }
  };
  const ProgramResult result = Run("out.jsonl", settings, input);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the same command goes on with the rest"));
  const std::vector<Json> lines = Lines("out.jsonl");
  EXPECT_GT(lines.size(), 2u);
  EXPECT_LT(lines.size(), 300u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("index"), i);
    EXPECT_EQ(lines[i].at("finish_reason"), "length");
  }
  EXPECT_EQ(Run("out.jsonl", settings).exit_code, 0);
  EXPECT_EQ(Run("whole.jsonl", settings).exit_code, 0);
  EXPECT_TRUE(ReadFile(Path("out.jsonl")) == ReadFile(Path("whole.jsonl")));
}

TEST_F(GenerateMany, RefusesWithAClearError) {
  Prompts("{\"prompt\": \"a\"}\n");
  WriteFile(Path("empty.jsonl"), " \n\n");
  WriteFile(Path("other.txt"), "my notes\n");
  WriteFile(Path("lines.jsonl"), "{\"index\":0,\"text\":\"a\"}\n");
  const std::string in = Path("prompts.jsonl"), out = Path("new.jsonl");
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    const char* says;
  } kCases[] = {
      {{"--input", Path("empty.jsonl")}, 1, "there is nothing to generate"},
      {{"--output", out}, 2, "is for the results of --input"},
      {{"--input", in, "--output", out, "hello"}, 2, "the prompt is given twice"},
      {{"--input", in, "--output", out, "--user", "x"}, 2, "the prompt is given twice"},
      {{"--input", in, "--output", out, "--beams", "4"}, 2, "searches for one prompt at a time"},
      {{"--input", in, "--output", out, "--parallel", "0"}, 2, "--parallel"},
      {{"--input", in, "--output", out, "--cache-tokens", "100"}, 1, "expected at least 256"},
      {{"--input", in, "--output", out, "--cache-tokens", "10000000000"}, 1, "memory: this run does not fit"},
      {{"--input", Path("nowhere"), "--output", out}, 1, "cannot open"},
      {{"--input", Path("empty.jsonl"), "--output", out}, 1, "there is nothing to generate"},
      {{"--input", in, "--output", Path("no/out.jsonl")}, 1, "create it first"},
      {{"--input", in, "--output", Path("other.txt")}, 1, "this is no line of a run"},
      {{"--input", in, "--output", Path("lines.jsonl")}, 1, "no run that could be gone on with"},
      {{"--input", in, "--output", temp_.path().string()}, 1, "is a folder"},
      {{"hello", "--parallel", "3"}, 2, "is for many replies"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.says);
    std::vector<std::string> arguments = {"generate", "-m", model_, "--max-new-tokens", "2"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProgramResult result = RunProgramBinary(arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr(c.says));
    EXPECT_FALSE(fs::exists(out));
  }
  EXPECT_EQ(ReadFile(Path("other.txt")), "my notes\n");
}

TEST_F(GenerateMany, StandardInputAndOutput) {
  const std::string prompts = "{\"prompt\": \"a\"}\n{\"ids\": [1, 2], \"max_new_tokens\": 2}\n{\"prompt\": 1}\n";
  Prompts(prompts);
  const std::vector<std::string> settings = {"--max-new-tokens", "3", "--seed", "4", "--samples", "1"};
  EXPECT_EQ(Run("file.jsonl", settings).exit_code, 1);  // a line is wrong
  const std::string lines = ReadFile(Path("file.jsonl"));
  EXPECT_EQ(JsonLines(lines).size(), 3u);
  const auto stream = [&](std::vector<std::string> files, const std::string& standard_input) {
    files.insert(files.begin(), {"generate", "-m", model_});
    files.insert(files.end(), settings.begin(), settings.end());
    const ProgramResult result = RunProgramBinary(files, {.standard_input = standard_input});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr("1 prompt failed"));
    return result.out;
  };
  EXPECT_EQ(stream({"--input", Path("prompts.jsonl")}, ""), lines);
  EXPECT_EQ(stream({"--input", Path("prompts.jsonl"), "--output", "-"}, ""), lines);
  EXPECT_EQ(stream({"--input", "-"}, prompts), lines);
  EXPECT_EQ(stream({"--input", "/dev/stdin", "-o", Path("piped.jsonl")}, prompts), "");
  EXPECT_EQ(ReadFile(Path("piped.jsonl")), lines);
  EXPECT_FALSE(fs::exists(Path("-")));
}

TEST_F(GenerateMany, JsonSaysHowItWent) {
  Prompts("{\"prompt\": \"a\"}\n{\"prompt\": 5}\n");
  const ProgramResult result = Run("out.jsonl", {"--max-new-tokens", "4", "--ignore-eos", "--json", "--seed", "6"});
  EXPECT_EQ(result.exit_code, 1);
  const Json told = Json::parse(result.out);
  EXPECT_EQ(told.at("prompts"), 2);
  EXPECT_EQ(told.at("finished"), 2);
  EXPECT_EQ(told.at("failed"), 1);
  EXPECT_THAT(result.err, HasSubstr("warning: 1 prompt failed; its line in"));
  EXPECT_EQ(told.at("already"), 0);
  EXPECT_EQ(told.at("generated"), 4);
  EXPECT_EQ(told.at("seed"), 6);
  EXPECT_THAT(result.err, Not(HasSubstr("note:")));
}

}  // namespace
}  // namespace stablelm
