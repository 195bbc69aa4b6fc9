// stablelm generate through the real program: the reference's greedy ids for every golden folder, JSON keys, finish
// reasons, refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

ProgramResult Generate(std::vector<std::string> arguments, const ProgramInput& input = {}) {
  arguments.insert(arguments.begin(), "generate");
  return RunProgramBinary(arguments, input);
}
Json GenerateJson(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProgramResult result = Generate(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 1);
  return Json::parse(result.out);
}

TEST(GenerateCommand, GreedyIdsAreTheReferences) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const SafetensorsFile expected(folder / "expected.safetensors");
    if (!expected.Find("greedy")) continue;
    const std::vector<int32_t> prompt = Ids(expected, "tokens"), want = Ids(expected, "greedy");
    const Json got = GenerateJson({"-m", folder.string(), "--ids", Joined(prompt), "--ignore-eos", "--max-new-tokens",
                                   std::to_string(want.size())});
    EXPECT_EQ(got.at("ids"), want);
    EXPECT_EQ(got.at("prompt_ids"), prompt);
    EXPECT_EQ(got.at("finish_reason"), "length");
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(GenerateCommand, JsonKeys) {
  const Json got = GenerateJson({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "5", "--seed", "7"});
  std::vector<std::string> keys;
  for (const auto& [key, value] : got.items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::UnorderedElementsAre("prompt_ids", "ids", "logprobs", "text", "finish_reason", "seed",
                                                  "counts", "seconds", "peak_bytes"));
  EXPECT_EQ(got.at("seed"), 7);
  EXPECT_EQ(got.at("counts"), Json({{"prompt", 3}, {"generated", 5}}));
  EXPECT_EQ(got.at("logprobs").size(), 5u);
  EXPECT_TRUE(got.at("text").is_null());  // the folder has no tokenizer
  for (const char* part : {"load", "prefill", "decode"}) EXPECT_GT(got.at("seconds").at(part).get<double>(), 0) << part;
  EXPECT_GT(got.at("peak_bytes").get<uint64_t>(), uint64_t{1} << 20);
}

// Exactly what the model computes with such a cache, for any number of threads.
TEST(GenerateCommand, EightBitCache) {
  const auto logprobs = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"-m", kParallel, "--ids", "1 2 3 4 5 6 7 8", "--max-new-tokens", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), {"--prompt-logprobs", "--greedy"});
    return GenerateJson(arguments).at("prompt_logprobs").get<std::vector<double>>();
  };
  const std::vector<double> exact = logprobs({}), small = logprobs({"--kv", "q8", "--threads", "1"});
  EXPECT_EQ(logprobs({"--kv", "q8", "--threads", "3"}), small);
  const Transformer model = LoadModel(kParallel);
  const std::vector<int32_t> ids = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(exact, LogprobsHere(model, ids, DType::kF32));
  EXPECT_EQ(small, LogprobsHere(model, ids, DType::kI8));
  EXPECT_NE(exact, small);
}

TEST(GenerateCommand, WithoutATokenizerPrintsIds) {
  const Json got = GenerateJson({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "5"});
  const ProgramResult plain = Generate({"-m", kParallel, "--ids", "[1, 2, 3]", "--max-new-tokens", "5"});
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_EQ(plain.out, Joined(got.at("ids")) + "\n");
  EXPECT_THAT(plain.err, HasSubstr("note: 5 tokens (length)"));
  EXPECT_THAT(plain.err, HasSubstr("seed "));
  EXPECT_EQ(Generate({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "5", "--quiet"}).err, "");
}

TEST(GenerateCommand, GreedyUnlessASamplingOptionIsGiven) {
  const auto ids = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"-m", kParallel, "--ids", "4 5 6", "--max-new-tokens", "24"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return GenerateJson(arguments).at("ids");
  };
  const Json greedy = ids({});
  EXPECT_EQ(ids({"--greedy"}), greedy);
  EXPECT_EQ(ids({"--seed", "5"}), greedy);
  EXPECT_EQ(ids({"--temperature", "0"}), greedy);
  EXPECT_EQ(ids({"--top-k", "1"}), greedy);
  EXPECT_EQ(ids({"--top-p", "0"}), greedy);
  const Json drawn = ids({"--temperature", "1", "--seed", "5"});
  EXPECT_NE(drawn, greedy);
  EXPECT_EQ(ids({"--temperature", "1", "--seed", "5", "--threads", "1"}), drawn);
  EXPECT_NE(ids({"--temperature", "1", "--seed", "6"}), drawn);
  EXPECT_EQ(ids({"--top-p", "1", "--seed", "5"}), drawn);  // temperature 1 when only filters are given
  EXPECT_THAT(Generate({"-m", kParallel, "--ids", "1", "--greedy", "--top-k", "4"}), Fails(2, "--greedy", {"--top-k"}));
}

// Makes the third generated id the model's end id.
TEST(GenerateCommand, StopsAfterAnEndId) {
  const Json free = GenerateJson({"-m", kParallel, "--ids", "1 2 3", "--max-new-tokens", "3", "--ignore-eos"});
  const TempFolder temp;
  const fs::path folder = temp.path() / "model";
  fs::copy(kParallel, folder);
  Json config = Json::parse(std::ifstream(folder / "config.json"));
  config["eos_token_id"] = free.at("ids").at(2);
  std::ofstream(folder / "config.json") << config;
  const Json stopped = GenerateJson({"-m", folder.string(), "--ids", "1 2 3"});
  EXPECT_EQ(stopped.at("ids"), free.at("ids"));
  EXPECT_EQ(stopped.at("finish_reason"), "stop");
  const Json ignored = GenerateJson({"-m", folder.string(), "--ids", "1 2 3", "--ignore-eos"});
  EXPECT_THAT(ignored.at("ids").get<std::vector<int>>(),
              testing::Not(testing::Contains(free.at("ids").at(2).get<int>())));
  EXPECT_EQ(ignored.at("finish_reason"), "context");
  EXPECT_EQ(ignored.at("ids").size(), 125u);  // context of 128 tokens
}

TEST(GenerateCommand, RefusesWithAClearError) {
  const TempFolder temp;
  const auto path = [&](const char* name) { return (temp.path() / name).string(); };
  fs::create_directory(path("empty"));
  fs::copy(kParallel, path("text"));
  std::ofstream(path("text/model.safetensors")) << "these are no weights, just a line of text";
  fs::copy(kParallel, path("cut"));
  fs::resize_file(path("cut/model.safetensors"), fs::file_size(path("cut/model.safetensors")) - 100);
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    const char* says;
  } kCases[] = {
      {{"--ids", "1"}, 2, "no model was named"},
      {{"-m", path("nowhere"), "--ids", "1"}, 1, "no such folder"},
      {{"-m", path("empty"), "--ids", "1"}, 1, "config.json"},
      {{"-m", path("text"), "--ids", "1"}, 1, "model.safetensors"},
      {{"-m", path("cut"), "--ids", "1"}, 1, "model.safetensors"},
      {{"-m", kParallel, "hello"}, 1, "tokenizer.json is missing"},
      {{"-m", kParallel, "--ids", "1", "hello"}, 2, "given twice"},
      {{"-m", kParallel, "--ids", ""}, 1, "empty"},
      {{"-m", kParallel, "--ids", "1 2 512"}, 1, "index 2: token id out of range: found 512, expected 0 to 511"},
      {{"-m", kParallel, "--ids", "-1"}, 1, "found -1"},
      {{"-m", kParallel, "--ids", "1 two"}, 2, "index 1: not a number"},
      {{"-m", kParallel, "--ids", Joined(std::vector<int32_t>(129, 5))}, 1, "found 129 tokens, expected at most 128"},
      {{"-m", kParallel, "--ids", "1", "--max-new-token", "4"}, 2, "did you mean --max-new-tokens?"},
      {{"-m", kParallel, "--ids", "1", "--max-new-tokens", "0"}, 2, "--max-new-tokens"},
      {{"-m", kParallel, "--ids", "1", "--top-p", "1.5"}, 2, "--top-p"},
      {{"-m", kParallel, "--ids", "1", "--temperature", "nan"}, 2, "--temperature"},
      {{"-m", kParallel, "--ids", "1", "--kv", "int8"}, 2, "--kv"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.says);
    const ProgramResult result = Generate(c.arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, testing::StartsWith("error: "));
    EXPECT_THAT(result.err, HasSubstr(c.says));
  }
}

TEST(GenerateCommand, CheckWeightsNamesTheTensor) {
  const TempFolder temp;
  const fs::path folder = temp.path() / "model";
  fs::copy(kParallel, folder);
  {
    const SafetensorsFile file(folder / "model.safetensors");
    std::fstream out(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(file.Find("embed_out.weight")->offset));
    out.write("\0\0\x80\x7F", 4);  // infinity
  }
  EXPECT_THAT(Generate({"-m", folder.string(), "--ids", "1", "--check-weights"}),
              Fails(1, (folder / "model.safetensors").string(), {"\"embed_out.weight\""}));
}

// Sends the signal after the first token, so that there is partial output. The reply would fill a context of 65,536
// tokens: a trillion multiplications in attention alone, so no machine finishes before the signal.
TEST(GenerateCommand, CtrlCPrintsWhatIsThere) {
  const TempFolder temp;
  const std::string folder = (temp.path() / "model").string(), out = (temp.path() / "out").string();
  Json config = Json::parse(std::ifstream(kParallel + "/config.json"));
  config["max_position_embeddings"] = 65536;
  WriteFile(temp.path() / "shape.json", config.dump());
  const ProgramResult made =
      RunProgramBinary({"init", "--shape", (temp.path() / "shape.json").string(), "--seed", "1", folder});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  // Sends the signal once, when `is_time` returns true. Returns the file's content as the output.
  const auto interrupt = [&](std::vector<std::string> more, const std::function<bool()>& is_time) {
    std::vector<std::string> arguments = {"-m", folder, "--ids", "1 2 3", "--ignore-eos", "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    bool sent = false;
    ProgramInput input;
    input.stdout_path = out;
    input.while_running = [&](pid_t pid) {
      if (!sent && is_time()) sent = kill(pid, SIGINT) == 0;
    };
    ProgramResult result = Generate(arguments, input);
    std::ifstream file(out);
    result.out.assign(std::istreambuf_iterator<char>(file), {});
    return result;
  };
  const ProgramResult plain = interrupt({}, [&] { return fs::exists(out) && fs::file_size(out) > 0; });
  EXPECT_EQ(plain.exit_code, 130) << plain.err;
  EXPECT_THAT(plain.err, HasSubstr("(cancelled)"));
  EXPECT_THAT(plain.out, testing::EndsWith("\n"));
  // JSON is printed only at the end, and not after a signal before the first token: retry with a longer wait.
  ProgramResult json;
  for (int wait = 16; json.out.empty() && wait < 4096; wait *= 2) {
    int rounds = 0;
    json = interrupt({"--json"}, [&] { return ++rounds > wait; });
    EXPECT_EQ(json.exit_code, 130) << json.err;
  }
  const Json object = Json::parse(json.out);
  EXPECT_EQ(object.at("finish_reason"), "cancelled");
  EXPECT_LT(object.at("ids").size(), 65533u);
  EXPECT_EQ(object.at("ids").size(), object.at("logprobs").size());
}

}  // namespace
}  // namespace stablelm
