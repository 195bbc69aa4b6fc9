// stablelm score through the real program: the reference's log-probabilities, logits and hidden states for every golden
// folder; every kind of input; refusals, which leave no files behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "golden_command.h"
#include "test_paths.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

ProgramResult Score(std::vector<std::string> arguments, const ProgramInput& input = {}) {
  arguments.insert(arguments.begin(), "score");
  return RunProgramBinary(arguments, input);
}

// A correct fp32 forward is within 5e-6 of the reference; above |7| errors grow with the value. NaN fails.
void ExpectNear(std::span<const float> got, std::span<const float> want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  float largest = 0;
  for (const float w : want) largest = std::max(largest, std::abs(w));
  const float tolerance = std::max(2e-5f, 3e-6f * largest);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::abs(got[i] - want[i]) <= tolerance)
        << what << "[" << i << "] " << got[i] << ", expected " << want[i];
  }
}

TEST(ScoreCommand, EqualsTheReferenceOnEveryFolder) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const TempFolder temp;
    const auto path = [&](const char* name) { return (temp.path() / name).string(); };
    const SafetensorsFile expected(folder / "expected.safetensors");
    const TensorView tokens = expected.Get("tokens");
    const bool every_row = !expected.Find("positions");  // otherwise only logits of some positions
    Json lists = Json::array();
    for (int64_t r = 0; r < tokens.shape[0]; ++r) lists.push_back(Ids(expected, "tokens", r));
    if (every_row) lists.push_back(Ids(expected, "short_tokens"));  // ragged
    WriteFile(path("ids.json"), lists.dump());
    std::vector<std::string> arguments = {"-m",          folder.string(), "--ids-file",   path("ids.json"),
                                          "--json",      "--save-logits", path("logits"), "--save-hidden",
                                          path("hidden")};
    const ProgramResult result = Score(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const std::vector<Json> lines = JsonLines(result.out);
    ASSERT_EQ(lines.size(), lists.size());
    const SafetensorsFile logits(path("logits")), hidden(path("hidden"));
    std::vector<float> got, logprobs;
    for (size_t s = 0; s < static_cast<size_t>(tokens.shape[0]); ++s) {
      const std::vector<float> rows = Floats(logits, "logits." + std::to_string(s));
      got.insert(got.end(), rows.begin(), rows.end());
      for (const double lp : lines[s].at("logprobs")) logprobs.push_back(static_cast<float>(lp));
      EXPECT_EQ(lines[s].at("index"), s);
      EXPECT_EQ(lines[s].at("ids"), lists[s]);
    }
    const std::vector<float> want = Floats(expected, "logits");
    if (every_row) {
      ExpectNear(got, want, "logits");
      ExpectNear(Floats(logits, "logits.2"), Floats(expected, "short_logits"), "short_logits");
      ExpectNear(logprobs, Floats(expected, "token_logprobs"), "token_logprobs");
      for (int64_t i = 0; expected.Find("hidden." + std::to_string(i)); ++i) {
        const std::string name = "hidden." + std::to_string(i);
        std::vector<float> states;
        for (int64_t s = 0; s < tokens.shape[0]; ++s) {
          const std::vector<float> rows = Floats(hidden, "hidden." + std::to_string(s) + "." + std::to_string(i));
          states.insert(states.end(), rows.begin(), rows.end());
        }
        ExpectNear(states, Floats(expected, name), name);
      }
    } else {
      std::vector<float> at;
      const int64_t vocab = logits.Get("logits.0").shape[1];
      for (const int32_t p : Ids(expected, "positions")) {
        at.insert(at.end(), got.begin() + p * vocab, got.begin() + (p + 1) * vocab);
      }
      ExpectNear(at, want, "logits");
    }
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(ScoreCommand, IdsAreListsOneListOrLines) {
  const auto logprobs = [](const std::string& ids) {
    const ProgramResult result = Score({"-m", kParallel, "--ids-file", "-", "--json"}, {.standard_input = ids});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<Json> all;
    for (const Json& line : JsonLines(result.out)) all.push_back(line.at("logprobs"));
    return all;
  };
  const std::vector<Json> one = logprobs("[[5, 9, 5, 17]]"), two = logprobs("[[5, 9, 5, 17], [8, 3]]");
  EXPECT_EQ(logprobs("[5, 9, 5, 17]"), one);
  EXPECT_EQ(logprobs("5 9 5 17"), one);
  EXPECT_EQ(logprobs("5, 9, 5, 17\n\n8 3\n"), two);
}

TEST(ScoreCommand, KeysAndTheirRelations) {
  const ProgramResult result =
      Score({"-m", kParallel, "--ids-file", "-", "--json"}, {.standard_input = "[[5, 9, 5, 17, 3], [8]]"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<Json> lines = JsonLines(result.out);
  ASSERT_EQ(lines.size(), 2u);
  for (const Json& line : lines) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : line.items()) keys.push_back(key);
    EXPECT_THAT(keys,
                testing::UnorderedElementsAre("index", "ids", "logprobs", "sum_logprob", "mean_nll", "perplexity"));
  }
  const std::vector<double> logprobs = lines[0].at("logprobs");
  ASSERT_EQ(logprobs.size(), 4u);
  const double sum = std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  EXPECT_DOUBLE_EQ(lines[0].at("sum_logprob").get<double>(), sum);
  EXPECT_DOUBLE_EQ(lines[0].at("mean_nll").get<double>(), -sum / 4);
  EXPECT_DOUBLE_EQ(lines[0].at("perplexity").get<double>(), std::exp(-sum / 4));
  EXPECT_TRUE(lines[1].at("logprobs").empty());
  EXPECT_TRUE(lines[1].at("mean_nll").is_null());
  EXPECT_TRUE(lines[1].at("perplexity").is_null());
  const ProgramResult table =
      Score({"-m", kParallel, "--ids-file", "-"}, {.standard_input = "[[5, 9, 5, 17, 3], [8]]"});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_EQ(std::ranges::count(table.out, '\n'), 4);  // heading, two sequences, total
}

TEST(ScoreCommand, TextsAndLines) {
  const TempFolder temp;
  const std::string model = ModelWithTokenizer(temp);
  const Tokenizer tokenizer = Tokenizer::FromFile(kTokenizer, {.model_vocab_size = 1000});
  const std::string text = "  The cat sat.\n";
  const std::string file = (temp.path() / "text").string();
  WriteFile(file, text);
  const ProgramResult one = Score({"-m", model, "--file", file, "--json"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(JsonLines(one.out).at(0).at("ids"), tokenizer.Encode(text));

  const std::string lines = "{\"text\": \"  The cat sat.\\n\", \"more\": 1}\r\n\n{\"ids\": [4, 5, 6]}";
  const ProgramResult two = Score({"-m", model, "--jsonl", "-", "--json"}, {.standard_input = lines});
  ASSERT_EQ(two.exit_code, 0) << two.err;
  const std::vector<Json> objects = JsonLines(two.out);
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0], JsonLines(one.out).at(0));
  EXPECT_EQ(objects[1].at("ids"), Json({4, 5, 6}));

  const std::string bad = "a\xC3";
  const ProgramResult refused = Score({"-m", model, "--file", "-", "--json"}, {.standard_input = bad});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("not UTF-8 at byte 1"));
  const ProgramResult replaced =
      Score({"-m", model, "--file", "-", "--json", "--invalid-utf8", "replace"}, {.standard_input = bad});
  ASSERT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_EQ(JsonLines(replaced.out).at(0).at("ids"), tokenizer.Encode("a\uFFFD"));
}

TEST(ScoreCommand, RefusesWithAClearError) {
  std::string ids = "1";
  for (int i = 0; i < 128; ++i) ids += ",1";
  const struct {
    std::vector<std::string> arguments;
    std::string input;
    int exit_code;
    const char* says;
  } kCases[] = {
      {{}, "", 2, "TEXT, --file, --jsonl, --ids-file"},
      {{"--ids-file", "-", "--jsonl", "x"}, "[[1]]", 2, "more than one input"},
      {{"--ids-file", "-", "--save-logits", "x", "--save-hidden", "x"}, "[[1]]", 2, "same file"},
      {{"--ids-file", "nowhere.json"}, "", 1, "nowhere.json"},
      {{"--ids-file", "-"}, "", 1, "standard input"},
      {{"--ids-file", "-"}, "[[1, 2], [3", 1, "standard input"},
      {{"--ids-file", "-"}, "{}", 1, "list of lists"},
      {{"--ids-file", "-"}, "5 9\n3 x", 1, "line 2: index 1"},
      {{"--ids-file", "-"}, "[]", 1, "nothing to score"},
      {{"--ids-file", "-"}, "[[1], 2]", 1, "list 1"},
      {{"--ids-file", "-"}, "[[1], []]", 1, "list 1: empty"},
      {{"--ids-file", "-"}, "[[1], [2, 1.5]]", 1, "list 1: index 1"},
      {{"--ids-file", "-"}, "[[1], [2, true]]", 1, "list 1: index 1"},
      {{"--ids-file", "-"}, "[[1], [2, 99999999999999999999]]", 1, "list 1: index 1"},
      {{"--ids-file", "-"}, "[[1], [2, 3, 512]]", 1, "list 1: index 2: token id out of range: found 512"},
      {{"--ids-file", "-"}, "[[1], [-1]]", 1, "found -1"},
      {{"--ids-file", "-"}, "[[" + ids + "]]", 1, "found 129 tokens, expected at most 128"},
      {{"--jsonl", "-"}, "{\"ids\": [1]}\n{\"ids\": [1, 600]}\n", 1, "line 2: index 1: token id out of range"},
      {{"--jsonl", "-"}, "{\"ids\": [1]}\n\n{\"txt\": \"a\"}\n", 1, "line 3"},
      {{"--jsonl", "-"}, "{\"ids\": [1], \"text\": \"a\"}", 1, "both"},
      {{"--jsonl", "-"}, "{\"text\": 5}", 1, "line 1"},
      {{"--jsonl", "-"}, "{\"text\": \"a\"}", 1, "tokenizer.json is missing"},
      {{"--jsonl", "-"}, "not json", 1, "line 1"},
      {{"--file", "-"}, "text", 1, "tokenizer.json is missing"},
      {{"--ids-file", "-", "--save-logit", "x"}, "[[1]]", 2, "did you mean --save-logits?"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.input.substr(0, 60) + " -> " + c.says);
    std::vector<std::string> arguments = {"-m", kParallel};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProgramResult result = Score(arguments, {.standard_input = c.input});
    EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, testing::StartsWith("error: "));
    EXPECT_THAT(result.err, HasSubstr(c.says));
  }
}

size_t FilesIn(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(ScoreCommand, OutputThatCannotBeWrittenLeavesNothing) {
  const TempFolder temp;
  const ProgramResult missing =
      Score({"-m", kParallel, "--ids-file", "-", "--save-logits", (temp.path() / "no" / "such" / "folder").string()},
            {.standard_input = "[[1, 2]]"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.out, "");
  EXPECT_THAT(missing.err, HasSubstr((temp.path() / "no").string()));
  // A folder that even root cannot write to.
  const ProgramResult read_only =
      Score({"-m", kParallel, "--ids-file", "-", "--save-hidden", "/proc/out"}, {.standard_input = "[[1, 2]]"});
  EXPECT_EQ(read_only.exit_code, 1);
  EXPECT_EQ(read_only.out, "");
  EXPECT_THAT(read_only.err, HasSubstr("/proc/out"));
  EXPECT_EQ(FilesIn(temp.path()), 0u);
}

TEST(ScoreCommand, CtrlCKeepsWhatIsPrintedAndRemovesUnfinishedFiles) {
  const TempFolder temp;
  const fs::path out = temp.path() / "out", logits = temp.path() / "logits";
  Json lists = Json::array();
  for (int i = 0; i < 30; ++i) lists.push_back(std::vector<int>(4000, i % 200));
  bool sent = false;
  ProgramInput input;
  input.standard_input = lists.dump();
  input.stdout_path = out.string();
  input.while_running = [&](pid_t pid) {
    if (sent || !fs::exists(out) || fs::file_size(out) == 0) return;
    kill(pid, SIGINT);
    sent = true;
  };
  const ProgramResult result = Score(
      {"-m", TestData("golden/long_context"), "--ids-file", "-", "--json", "--save-logits", logits.string()}, input);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  std::ifstream file(out);
  const std::vector<Json> lines = JsonLines({std::istreambuf_iterator<char>(file), {}});
  EXPECT_GE(lines.size(), 1u);
  EXPECT_LT(lines.size(), lists.size());
  EXPECT_EQ(FilesIn(temp.path()), 1u);
}

}  // namespace
}  // namespace stablelm
