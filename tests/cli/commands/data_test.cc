// stablelm data show, stats, verify and export: what they print of prepared data, and what they say of damaged data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

#include "golden_command.h"
#include "program_error.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string BytesOf(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A folder that was prepared from 60 short conversations; every fifth has two questions.
class DataCommand : public testing::Test {
 protected:
  DataCommand() {
    std::string lines;
    for (int i = 0; i < 60; ++i) {
      const std::string number = std::to_string(i);
      nlohmann::json messages = {{{"role", "system"}, {"content", "S"}},
                                 {{"role", "user"}, {"content", "question " + number}},
                                 {{"role", "assistant"}, {"content", "answer " + number}}};
      if (i % 5 == 0) {
        messages.push_back({{"role", "user"}, {"content", "more"}});
        messages.push_back({{"role", "assistant"}, {"content", "no " + number}});
      }
      lines += nlohmann::json{{"messages", messages}}.dump() + "\n";
    }
    WriteFile(chats_, lines);
    Prepare(chats_, out_, "validation=0.2");
  }
  static ProgramResult Prepare(const fs::path& file, const fs::path& out, const std::string& set) {
    ProgramResult result =
        RunProgramBinary({"prepare", file.string(), "--set", "tokenizer=" + kTokenizer, "--set", "sequence_length=64",
                          "--set", "name=chats", "--set", set, "-o", out.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }
  ProgramResult Run(const std::string& command, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"data", command, out_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramBinary(arguments);
  }

  const TempFolder folder_;
  const fs::path chats_ = folder_.path() / "chats.jsonl", out_ = folder_.path() / "out";
};

TEST_F(DataCommand, ShowsSamplesWithTheirTargets) {
  const ProgramResult first = Run("show");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, AllOf(StartsWith("sample 0, pack 0: chats, chats.jsonl, row "), HasSubstr("\nsample 2, "),
                               Not(HasSubstr("\nsample 3, "))));

  const ProgramResult json = Run("show", {"--count", "1000", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const std::vector<nlohmann::json> samples = JsonLines(json.out);
  EXPECT_GT(samples.size(), 30U);
  EXPECT_LT(samples.size(), 60U);  // the others are in the validation split
  for (size_t i = 0; i < samples.size(); ++i) {
    const nlohmann::json& sample = samples[i];
    EXPECT_EQ(sample["sample"], i);
    const int row = sample["row"];
    const std::string number = std::to_string(row);
    std::string text = "<|SYSTEM|>S<|USER|>question " + number + "<|ASSISTANT|>answer " + number;
    if (row % 5 == 0) text += "<|USER|>more<|ASSISTANT|>no " + number;
    EXPECT_EQ(sample["text"], text + "<|endoftext|>");
    ASSERT_EQ(sample["ids"].size(), sample["targets"].size());
  }

  const nlohmann::json third = JsonLines(Run("show", {"--sample", "3", "--json"}).out).at(0);
  EXPECT_EQ(third, samples[3]);
  const uint64_t pack = third["pack"];
  std::vector<nlohmann::json> in_pack;
  for (const nlohmann::json& sample : samples) {
    if (sample["pack"] == pack) in_pack.push_back(sample);
  }
  EXPECT_EQ(JsonLines(Run("show", {"--pack", std::to_string(pack), "--json"}).out), in_pack);

  const std::string row = std::to_string(third["row"].get<int>());
  EXPECT_THAT(Run("show", {"--sample", "3"}).out, HasSubstr("<|ASSISTANT|>\xE2\x9F\xA6"
                                                            "answer " +
                                                            row));
  const std::vector<nlohmann::json> held_out =
      JsonLines(Run("show", {"--split", "validation", "--count", "1000", "--json"}).out);
  EXPECT_EQ(samples.size() + held_out.size(), 60U);
}

TEST_F(DataCommand, ColoursTargetsOnATerminal) {
  TerminalProgram terminal({"data", "show", out_.string(), "--sample", "0"});
  terminal.Await("\033[32manswer ");
  terminal.Await("\033[7m<|endoftext|>");
  EXPECT_EQ(terminal.Exit(), 0);
}

TEST_F(DataCommand, SamplesThatAreNotThereAreRefused) {
  EXPECT_THAT(Run("show", {"--sample", "1000"}), Fails(2, "--sample", {"1000", "0 to "}));
  EXPECT_THAT(Run("show", {"--pack", "1000"}), Fails(2, "--pack", {"1000", "0 to "}));
  EXPECT_THAT(Run("show", {"--pack", "0", "--sample", "0"}), Fails(2, "--sample, --pack"));
  EXPECT_THAT(Run("show", {"--split", "test"}), Fails(2, "--split", {"\"test\"", "validation"}));
  EXPECT_THAT(RunProgramBinary({"data", "show"}), Fails(2, "FOLDER"));
  for (const char* command : {"show", "stats", "verify", "export"}) {
    EXPECT_THAT(RunProgramBinary({"data", command, folder_.path().string()}),
                Fails(1, (folder_.path() / "manifest.json").string(), {"stablelm prepare"}));
  }
}

TEST_F(DataCommand, TheTokenizerHasToBeTheOneOfThePreparation) {
  const fs::path other = folder_.path() / "tokenizer.json";
  nlohmann::json tokenizer = nlohmann::json::parse(BytesOf(kTokenizer));
  nlohmann::json added = tokenizer["added_tokens"].back();
  added["id"] = added["id"].get<int>() + 1;
  added["content"] = "<|other|>";
  tokenizer["added_tokens"].push_back(added);
  WriteFile(other, tokenizer.dump());
  EXPECT_THAT(Run("show", {"-m", other.string()}), Fails(1, other.string(), {"tokenizer"}));
  EXPECT_EQ(Run("show", {"-m", kTokenizer}).exit_code, 0);
}

TEST_F(DataCommand, StatsAreTheAccountOfThePreparation) {
  const fs::path again = folder_.path() / "again";
  const ProgramResult prepared = Prepare(chats_, again, "validation=0.3");
  const ProgramResult stats = RunProgramBinary({"data", "stats", again.string()});
  EXPECT_EQ(stats.exit_code, 0) << stats.err;
  EXPECT_EQ(stats.out, prepared.out);
  const nlohmann::json manifest = nlohmann::json::parse(Run("stats", {"--json"}).out);
  EXPECT_EQ(manifest, nlohmann::json::parse(BytesOf(out_ / "manifest.json")));
}

TEST_F(DataCommand, VerifyFindsDamage) {
  const ProgramResult whole = Run("verify");
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.out, StartsWith("whole: 4 files, "));
  EXPECT_EQ(nlohmann::json::parse(Run("verify", {"--json"}).out).at("documents"), 60);

  const std::string tokens = (out_ / "train-00000.tokens").string(), index = (out_ / "train.index").string();
  const std::string bytes = BytesOf(tokens), index_bytes = BytesOf(index);
  std::string changed = bytes;
  changed[70] = static_cast<char>(changed[70] ^ 1);
  WriteFile(tokens, changed);
  EXPECT_THAT(Run("verify"), Fails(1, tokens, {"SHA-256"}));
  WriteFile(tokens, bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(Run("verify"), Fails(1, tokens, {std::to_string(bytes.size() / 2) + " bytes"}));
  EXPECT_THAT(Run("show"), Fails(1, tokens));
  WriteFile(tokens, bytes);
  WriteFile(index, index_bytes.substr(0, 60));
  EXPECT_THAT(Run("show"), Fails(1, index));
  fs::remove(index);
  EXPECT_THAT(Run("verify"), Fails(1, index));
  WriteFile(index, index_bytes);
  EXPECT_EQ(Run("verify").exit_code, 0);
  WriteFile(out_ / "manifest.json", "{");
  EXPECT_THAT(Run("verify"), Fails(1, (out_ / "manifest.json").string()));
}

TEST_F(DataCommand, WhatIsExportedIsPreparedToTheSameTokens) {
  const fs::path whole = folder_.path() / "whole", again = folder_.path() / "again";
  const fs::path exported = folder_.path() / "exported.jsonl";
  Prepare(chats_, whole, "validation=0");
  ProgramInput to_file;
  to_file.stdout_path = exported.string();
  EXPECT_EQ(RunProgramBinary({"data", "export", whole.string()}, to_file).exit_code, 0);
  const std::vector<nlohmann::json> lines = JsonLines(BytesOf(exported));
  ASSERT_EQ(lines.size(), 60U);
  EXPECT_EQ(lines[1], nlohmann::json::parse(R"({"messages": [{"role": "system", "content": "S"},
      {"role": "user", "content": "question 1"}, {"role": "assistant", "content": "answer 1"}]})"));
  Prepare(exported, again, "validation=0");
  EXPECT_EQ(BytesOf(again / "train-00000.tokens"), BytesOf(whole / "train-00000.tokens"));

  const std::vector<nlohmann::json> held_out = JsonLines(Run("export", {"--split", "validation"}).out);
  EXPECT_EQ(JsonLines(Run("export").out).size() + held_out.size(), 60U);
}

}  // namespace
}  // namespace stablelm
