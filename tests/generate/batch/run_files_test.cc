// The files of a run: its output lines, and the record of its settings.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/sha256.h"
#include "generate/batch/run_lines.h"
#include "generate/batch/run_record.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class RunFiles : public testing::Test {
 protected:
  void Write(std::string_view bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string Read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  template <typename Work>
  static std::string Refusal(const Work& work) {
    try {
      work();
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }
  const TempFolder temp_;
  const fs::path path_ = temp_.path() / "out.jsonl";
};

TEST_F(RunFiles, LinesAreAppendedInOrder) {
  RunLines lines(path_);
  EXPECT_TRUE(lines.empty());
  EXPECT_FALSE(fs::exists(path_));  // opening does not create it
  lines.Begin();
  lines.Append(R"({"index":0,"text":"a"})");
  EXPECT_EQ(Read(), "{\"index\":0,\"text\":\"a\"}\n");  // written immediately
  lines.Append(R"({"index":1,"error":"b"})");
  EXPECT_EQ(lines.finished(), 2u);
  EXPECT_EQ(lines.failed(), 1u);
  lines.Sync();
  EXPECT_DEATH(lines.Append(R"({"index":7,"text":"a"})"), "check failed");
}

TEST_F(RunFiles, GoesOnAfterTheLastWholeLine) {
  const std::string whole = "{\"index\":0,\"text\":\"a\"}\n{\"index\":1,\"error\":\"b\"}\n";
  for (const std::string torn : {"", "{", "{\"index\":2,\"te", "{\"index\":2,\"text\":\"c\"}"}) {
    SCOPED_TRACE(torn);
    Write(whole + torn);
    {
      RunLines lines(path_);
      EXPECT_EQ(lines.finished(), 2u);
      EXPECT_EQ(lines.failed(), 1u);
      EXPECT_EQ(Read(), whole + torn);
      lines.Begin();
      EXPECT_EQ(Read(), whole);
      lines.Append("{\"index\":2,\"text\":\"c\"}");
      lines.Begin();  // takes nothing that is whole
    }
    EXPECT_EQ(Read(), whole + "{\"index\":2,\"text\":\"c\"}\n");
  }
  RunLines lines(path_);
  EXPECT_EQ(lines.failed(), 1u);
  lines.Begin(true);
  EXPECT_EQ(Read(), "");
  EXPECT_EQ(lines.finished() + lines.failed(), 0u);
}

// Lines whose heads and ends fall on the borders of the 256 KiB pieces in which the file is read.
TEST_F(RunFiles, CountsLinesOfAnyLength) {
  for (size_t length = 262100; length < 262180; ++length) {
    const std::string first = "{\"index\":0,\"text\":\"" + std::string(length, 'x') + "\"}\n";
    Write(first + "{\"index\":1,\"error\":\"b\"}\n{\"index\":2,");
    RunLines lines(path_);
    ASSERT_EQ(lines.finished(), 2u) << length;
    ASSERT_EQ(lines.failed(), 1u) << length;
  }
}

TEST_F(RunFiles, RefusesLinesOfSomethingElse) {
  for (const char* other : {"hello\n", "\n", "{\"index\":1,\"text\":\"a\"}\n",
                            "{\"index\":0,\"text\":\"a\"}\n{\"index\":0,\"text\":\"a\"}\n",
                            "{\"index\":0,\"text\":\"a\"}\n{\"index\":1,\"te\n", "{\"index\":00,\"text\":\"a\"}\n"}) {
    SCOPED_TRACE(other);
    Write(other);
    EXPECT_THAT(Refusal([&] { RunLines lines(path_); }), HasSubstr("this is no line of a run"));
    EXPECT_EQ(Read(), other);
  }
  EXPECT_THAT(Refusal([&] { RunLines lines(temp_.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(Refusal([&] { RunLines lines("/dev/null"); }), HasSubstr("is no regular file"));
  EXPECT_THAT(Refusal([&] { RunLines(temp_.path() / "no" / "out").Begin(); }), HasSubstr("create it first"));
}

TEST_F(RunFiles, OneProcessAtATime) {
  RunLines lines(path_);
  lines.Begin();
  EXPECT_THAT(Refusal([&] { RunLines second(path_); }), HasSubstr("another run is writing it"));
}

TEST_F(RunFiles, ARecordComesBackAsItWas) {
  EXPECT_FALSE(ReadRunRecord(path_));
  RunRecord record;
  record.seed = ~uint64_t{0};
  record.parameters = {{"temperature", "0.7"}, {"stop", R"(["a","\n"])"}, {"system", R"("Be \"brief\".")"}};
  record.model = {{"config.json", Sha256Hex("x")}};
  record.input = Sha256Hex("y");
  record.program = {{"version", "0.1.0"}};
  WriteRunRecord(path_, record);
  EXPECT_EQ(RunRecordPath(path_).filename(), "out.jsonl.run.json");
  const std::optional<RunRecord> back = ReadRunRecord(path_);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->seed, record.seed);
  EXPECT_EQ(back->parameters, record.parameters);
  EXPECT_EQ(back->model, record.model);
  EXPECT_EQ(back->input, record.input);
  EXPECT_EQ(back->program, record.program);
  RequireSameRun(*back, record, path_);
}

TEST_F(RunFiles, ARunWithOtherSettingsIsRefusedByName) {
  RunRecord begun;
  begun.seed = 1;
  begun.parameters = {{"temperature", "0.7"}, {"top_k", "50"}};
  begun.model = {{"config.json", "aa"}, {"model.safetensors", "bb"}};
  begun.input = "cc";
  RunRecord now = begun;
  now.program = {{"simd", "avx2"}};  // a difference here is allowed
  RequireSameRun(begun, now, path_);
  now.seed = 2;
  now.parameters = {{"temperature", "0.8"}, {"min_p", "0.1"}};
  now.model["model.safetensors"] = "dd";
  const std::string text = Refusal([&] { RequireSameRun(begun, now, path_); });
  EXPECT_THAT(text, HasSubstr("found model model.safetensors dd, seed 2, min_p 0.1, temperature 0.8, top_k none"));
  EXPECT_THAT(text, HasSubstr("expected model model.safetensors bb, seed 1, min_p none, temperature 0.7, top_k 50"));
  EXPECT_THAT(text, AllOf(HasSubstr("out.jsonl.run.json"), HasSubstr("hint:"), Not(HasSubstr("input"))));
}

TEST_F(RunFiles, SixDifferencesAreNamedAndTheOthersCounted) {
  RunRecord begun, now;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) now.parameters[name] = "1";
  const std::string six = Refusal([&] { RequireSameRun(begun, now, path_); });
  EXPECT_THAT(six, AllOf(HasSubstr("e 1, f 1, expected"), Not(HasSubstr("more"))));
  now.parameters["g"] = "1";
  EXPECT_THAT(Refusal([&] { RequireSameRun(begun, now, path_); }), HasSubstr("e 1, f 1 and 1 more, expected"));
}

TEST_F(RunFiles, BrokenRecordsAreRefused) {
  const auto refusal = [&](const char* text) {
    std::ofstream(RunRecordPath(path_)) << text;
    return Refusal([&] { ReadRunRecord(path_); });
  };
  EXPECT_THAT(refusal("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("\"seed\": this is no record of a run"));
  EXPECT_THAT(refusal(R"({"seed": 1})"), HasSubstr("\"parameters\""));
  EXPECT_THAT(refusal(R"({"seed": -1, "parameters": {}, "model": {}, "input": "", "program": {}})"),
              HasSubstr("\"seed\""));
  EXPECT_THAT(refusal(R"({"seed": 1, "parameters": {}, "model": [], "input": "", "program": {}})"),
              HasSubstr("\"model\""));
  EXPECT_THAT(refusal(R"({"seed": 1, "parameters": {}, "model": {}, "input": 5, "program": {}})"),
              HasSubstr("\"input\""));
}

TEST_F(RunFiles, EveryFileThatDecidesIsHashed) {
  const fs::path folder = temp_.path() / "model";
  fs::copy(TestData("golden/head128_fp16"), folder);
  fs::copy_file(TestData("tokenizer/tokenizer.json"), folder / "tokenizer.json");
  std::ofstream(folder / "generation_config.json") << "{}";
  const auto opened = ModelFolder::Open(folder.string());
  uint64_t heard = 0;
  const auto hashes = HashModelFiles(*opened, [&](size_t bytes) { heard += bytes; });
  EXPECT_EQ(heard, BytesOfModelFiles(*opened));
  for (const char* name : {"config.json", "tokenizer.json", "generation_config.json",
                           "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    ASSERT_TRUE(hashes.contains(name)) << name;
    EXPECT_EQ(hashes.at(name), Sha256HexOfFile(folder / name));
  }
  EXPECT_EQ(hashes.size(), 5u);
}

}  // namespace
}  // namespace stablelm
