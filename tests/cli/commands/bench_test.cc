// The bench commands run, print the promised fields and refuse bad arguments. The measured speeds are not checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(BenchMemory, PrintsEveryWayToReadAndTheBest) {
  const ProgramResult result =
      RunProgramBinary({"bench", "memory", "--size", "8MiB", "--samples", "2", "--threads", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("results").size(), 24u);  // with 4 KiB pages and with huge pages
  EXPECT_EQ(json.at("threads"), 2);
  EXPECT_EQ(json.at("bytes"), 8 << 20);
  double best = 0;
  for (const auto& row : json.at("results")) {
    EXPECT_GT(row.at("gb_per_s"), 0);
    EXPECT_LE(row.at("min"), row.at("gb_per_s"));
    EXPECT_GE(row.at("max"), row.at("gb_per_s"));
    best = std::max(best, row.at("gb_per_s").get<double>());
  }
  EXPECT_EQ(json.at("best").at("gb_per_s"), best);
}

TEST(BenchCompute, PrintsEveryTarget) {
  const ProgramResult result = RunProgramBinary({"bench", "compute", "--samples", "1", "--threads", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_FALSE(json.at("results").empty());
  EXPECT_GT(json.at("gflops"), 0);
  for (const auto& row : json.at("results")) {
    const bool bytes = row.at("simd") != "sse4" && row.at("simd") != "scalar";
    EXPECT_EQ(row.at("int8_gops") > 0, bytes) << row;
    for (const char* kind : {"int8", "bf16"}) {
      const double median = row.at(kind + std::string(*kind == 'i' ? "_gops" : "_gflops"));
      EXPECT_LE(row.at(kind + std::string("_min")).get<double>(), median);
      EXPECT_GE(row.at(kind + std::string("_max")).get<double>(), median);
    }
    EXPECT_EQ(row.at("bf16_gflops") > 0, row.at("simd") == "avx3_bf16" || row.at("simd") == "avx3_amx") << row;
  }
}

class BenchModel : public testing::Test {
 protected:
  ProgramResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "model", "-m", TestData("golden/parallel"), "--threads", "2",
                                         "--samples", "2", "--quiet"});
    return RunProgramBinary(arguments);
  }
  const TempFolder temp_;
};

TEST_F(BenchModel, TellsOfEveryCase) {
  const ProgramResult result = Run({"-p", "8,16", "-b", "1,3", "-n", "4", "--depth", "33", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json.at("results").size(), 4u);
  uint64_t bytes = 0;
  for (const auto& [type, of_type] : json.at("matrix_bytes").items()) bytes += of_type.get<uint64_t>();
  for (const auto& row : json.at("results")) {
    EXPECT_LE(row.at("min"), row.at("tokens_per_s"));
    EXPECT_GE(row.at("max"), row.at("tokens_per_s"));
    EXPECT_GT(row.at("share"), 0);
    EXPECT_EQ(row.at("ms").size(), 11u) << row;  // every operation was measured
    double ms = 0;
    for (const auto& [name, value] : row.at("ms").items()) ms += value.get<double>();
    EXPECT_GT(ms, 0);
    // A step reads at least all matrices.
    if (row.at("test") == "decode" && row.at("sequences") == 1) {
      EXPECT_GT(row.at("gb_per_s").get<double>() * 1e9,
                static_cast<double>(bytes) * row.at("tokens_per_s").get<double>());
    }
  }
  EXPECT_EQ(json.at("results")[0].at("tokens"), 8);
  EXPECT_EQ(json.at("results")[3].at("sequences"), 3);
  EXPECT_EQ(json.at("results")[3].at("depth"), 33);
}

TEST_F(BenchModel, PrintsTables) {
  const ProgramResult markdown = Run({"-p", "8", "-b", "1", "-n", "2", "--depth", "4", "--md", "--no-machine"});
  ASSERT_EQ(markdown.exit_code, 0) << markdown.err;
  EXPECT_THAT(markdown.out, HasSubstr("| prompt 8 | "));
  EXPECT_THAT(markdown.out, HasSubstr("|---|---:|"));
  const ProgramResult csv = Run({"-p", "8", "-b", "0", "--csv", "--no-machine"});
  ASSERT_EQ(csv.exit_code, 0) << csv.err;
  EXPECT_EQ(std::ranges::count(csv.out, '\n'), 2);
  EXPECT_THAT(csv.out, HasSubstr("\"ms query, key, value\""));
  // Numbers without units, and what they were measured with.
  for (const char* column : {",reached,reached_unit,share,share_of,", ",model,", ",kv,", ",cpu,simd,threads,"}) {
    EXPECT_THAT(csv.out, HasSubstr(column));
  }
  EXPECT_THAT(csv.out, HasSubstr("\nprompt,8,1,0,"));
  EXPECT_THAT(csv.out, HasSubstr(",Gop/s,"));
}

TEST_F(BenchModel, TheMachineIsMeasuredOnceOrNotAtAll) {
  const std::string file = (temp_.path() / "machine.json").string();
  const auto json = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-p", "8", "-b", "0", "--json"});
    const ProgramResult result = Run(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  };
  const auto none = json({"--no-machine"});
  EXPECT_TRUE(none.at("memory_gb_per_s").is_null());
  EXPECT_TRUE(none.at("results").at(0).at("share").is_null());
  EXPECT_GT(none.at("results").at(0).at("tokens_per_s"), 0);
  const auto first = json({"--machine", file}), second = json({"--machine", file});
  EXPECT_GT(first.at("memory_gb_per_s"), 0);
  EXPECT_EQ(second.at("memory_gb_per_s"), first.at("memory_gb_per_s"));
  EXPECT_EQ(second.at("int8_gops"), first.at("int8_gops"));
  // The buffer of the measurement, 512 MiB, is not the model's.
  EXPECT_LT(first.at("peak_bytes").get<uint64_t>(), uint64_t{400} << 20);
  std::ofstream(file) << "{}";
  EXPECT_EQ(Run({"--machine", file, "-p", "8", "-b", "0"}).exit_code, 1);
  EXPECT_EQ(Run({"--machine", file, "--no-machine"}).exit_code, 2);
}

TEST_F(BenchModel, WrongUsage) {
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } kCases[] = {
      {{"--md", "--csv"}, "one format at a time"},
      {{"-p", "8,x"}, "--prompt"},
      {{"-p", "8,"}, "--prompt"},
      {{"-p", "0", "-b", "0"}, "nothing is left to measure"},
      {{"-p", "100000"}, "longer than the model's context"},
      {{"--depth", "100000"}, "longer than the model's context"},
  };
  for (const auto& c : kCases) {
    const ProgramResult result = Run(c.arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(c.says));
  }
}

TEST(BenchSampler, PrintsEveryChain) {
  const auto run = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "sampler", "--vocab", "600", "--context", "40", "--samples", "3", "--quiet"});
    return RunProgramBinary(more);
  };
  const ProgramResult result = run({"--plain", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("vocab"), 600);
  EXPECT_EQ(json.at("context"), 40);
  std::vector<std::string> chains;
  for (const auto& row : json.at("results")) {
    chains.push_back(row.at("chain"));
    EXPECT_GT(row.at("us"), 0) << row;
    EXPECT_GT(row.at("plain_us"), 0) << row;
    EXPECT_LE(row.at("min"), row.at("us"));
    EXPECT_GE(row.at("max"), row.at("us"));
  }
  EXPECT_THAT(chains, testing::IsSupersetOf({"greedy", "card", "top-k, top-p, min-p", "flat top-p", "penalties",
                                             "mirostat 2", "typical", "DRY, n-grams"}));
  EXPECT_EQ(json.at("results").at(1).at("settings").at("top_k"), 50);
  const std::string text = run({}).out;
  EXPECT_THAT(text, HasSubstr("600 tokens to choose from, 40 before"));
  EXPECT_THAT(text, HasSubstr("temperature 0.8, mirostat 2"));
  for (const std::string& chain : chains) EXPECT_THAT(text, HasSubstr("\n" + chain + " "));
  EXPECT_THAT(RunProgramBinary({"bench", "sampler", "--vocab", "1"}), Fails(2, "--vocab", {"\"1\""}));
}

class BenchTokenizer : public testing::Test {
 protected:
  ProgramResult Run(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.insert(arguments.begin(), {"bench", "tokenizer", "--tokenizer", TestData("tokenizer/tokenizer.json"),
                                         "--samples", "1", "--threads", "2", "--quiet"});
    return RunProgramBinary(arguments, input);
  }
};

TEST_F(BenchTokenizer, TimesATextAndAList) {
  const TempFolder temp;
  const std::string list = (temp.path() / "list.json").string();
  std::ofstream(list) << R"(["Hello, world", "", "hi"])";
  const ProgramResult result =
      Run({"--file", "-", "--texts", list, "--hard", "--json"}, {.standard_input = "Hello, world"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_GT(json.at("load_ms").at("median"), 0);
  const auto& results = json.at("results");
  ASSERT_EQ(results.size(), 12u);
  EXPECT_EQ(results[0].at("bytes"), 12);
  EXPECT_EQ(results[1].at("bytes"), 14);
  EXPECT_EQ(results[1].at("count"), 3);
  EXPECT_GE(results[1].at("tokens"), results[0].at("tokens"));
  for (const auto& row : results) EXPECT_GT(row.at("encode_mb_per_s").at("median"), 0) << row;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_GT(results[i].at("encode_with_offsets_mb_per_s").at("median"), 0);
    EXPECT_GT(results[i].at("decode_mb_per_s").at("median"), 0);
  }
  EXPECT_EQ(results[1].at("batches").size(), 2u);
  EXPECT_TRUE(results[2].at("hard"));
}

TEST_F(BenchTokenizer, HasATextOfItsOwnAndRefusesNonsense) {
  const ProgramResult result = Run({});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, testing::AllOf(HasSubstr("load "), HasSubstr("text of its own tokens")));
  const TempFolder temp;
  const std::string list = (temp.path() / "list.json").string();
  for (const char* text : {"[1]", "[]", "no", "\"a\""}) {
    std::ofstream(list) << text;
    EXPECT_THAT(Run({"--texts", list}), Fails(1, list)) << text;
  }
  EXPECT_THAT(Run({"--file", "-"}, {.standard_input = "a\xFF"}), Fails(1, "standard input", {"byte 1"}));
  EXPECT_THAT(Run({"-m", "x"}), Fails(2, "-m, --tokenizer"));
}

TEST(Bench, WrongUsage) {
  const ProgramResult group = RunProgramBinary({"bench"});
  EXPECT_EQ(group.exit_code, 2);
  EXPECT_THAT(group.err, HasSubstr("\n  bench memory     Read"));
  EXPECT_EQ(RunProgramBinary({"bench", "--help"}).out, group.err);
  const ProgramResult near = RunProgramBinary({"bench", "memroy"});
  EXPECT_EQ(near.exit_code, 2);
  EXPECT_THAT(near.err, HasSubstr("did you mean bench memory?"));
  EXPECT_THAT(RunProgramBinary({"bench", "memory", "--size", "0"}), Fails(2, "--size", {"\"0\""}));
  EXPECT_THAT(RunProgramBinary({"bench", "memory", "--size", "1B"}), Fails(2, "--size", {"\"1B\"", "1MiB"}));
  EXPECT_THAT(RunProgramBinary({"bench", "memory", "--size", "900000GB"}), Fails(1, "--size", {"900 TB"}));
}

// Ctrl-C ends a polling run with exit code 130 and no message.
TEST(Bench, InterruptEndsWith130) {
  bool sent = false;
  int rounds = 0;
  const ProgramResult result = RunProgramBinary({"bench", "memory", "--size", "64MiB", "--samples", "1000", "--quiet"},
                                                {.while_running = [&](pid_t child) {
                                                  if (++rounds > 20 && !sent) sent = kill(child, SIGINT) == 0;
                                                }});
  EXPECT_TRUE(sent);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace stablelm
