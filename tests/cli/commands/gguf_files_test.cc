// GGUF files as people have them: under any name, beside other files, split into parts. The real program reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "checkpoint/gguf/gguf_testing.h"
#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

const std::string kPadding = TestData("cases/03-gguf-padding-user-defined/padding.gguf");
const std::string kImatrix = TestData("cases/18-folder-with-imatrix/imatrix.gguf");

class GgufFiles : public testing::Test {
 protected:
  static ProgramResult OneToken(const fs::path& model) {
    return RunProgramBinary(
        {"generate", "-m", model.string(), "--ids", "5", "--max-new-tokens", "1", "--greedy", "--quiet"});
  }
  const TempFolder temp_;
};

TEST_F(GgufFiles, RunUnderAnyName) {
  const ProgramResult want = OneToken(kPadding);
  ASSERT_EQ(want.exit_code, 0) << want.err;
  for (const char* name : {"UPPER.GGUF", "sha256-0123", "model.bin"}) {
    fs::copy_file(kPadding, temp_.path() / name);
    const ProgramResult got = OneToken(temp_.path() / name);
    EXPECT_EQ(got.out, want.out);
    EXPECT_EQ(got.err.find("error"), std::string::npos) << got.err;
  }
}

TEST_F(GgufFiles, FromBeforeGgufAreNamedWhateverTheirName) {
  const fs::path bin = temp_.path() / "old.bin", gguf = temp_.path() / "old.gguf";
  for (const fs::path& path : {bin, gguf}) {
    WriteFile(path, "lmgg0123456789");
    EXPECT_THAT(OneToken(path), Fails(1, path.string() + ": the magic", {"ggml", "before GGUF", "convert"}));
  }
}

TEST_F(GgufFiles, RunBesideAnImportanceMatrix) {
  fs::copy_file(kPadding, temp_.path() / "model.gguf");
  fs::copy_file(kImatrix, temp_.path() / "imatrix.gguf");
  const ProgramResult got = OneToken(temp_.path());
  EXPECT_EQ(got.exit_code, 0) << got.err;
  EXPECT_EQ(got.out, OneToken(kPadding).out);
}

// Padding rows that an old converter typed as user-defined; that of 310 has a large output row.
TEST_F(GgufFiles, PaddingRowsAreNoTokens) {
  EXPECT_THAT(RunProgramBinary({"generate", "-m", kPadding, "--show-config"}).out,
              testing::ContainsRegex("never produced +261-319"));
  const Json ids = Json::parse(RunProgramBinary({"tokenize", "-m", kPadding, "x[PAD310]", "--json"}).out).at("ids");
  EXPECT_EQ(ids.size(), 9u);
  for (const int id : ids) EXPECT_LT(id, 261);
  const ProgramResult reply =
      RunProgramBinary({"generate", "-m", kPadding, "Hello", "--greedy", "--max-new-tokens", "4", "--seed", "1"});
  EXPECT_EQ(reply.exit_code, 0) << reply.err;
  EXPECT_THAT(reply.out, Not(HasSubstr("PAD")));
  const fs::path back = temp_.path() / "back";
  ASSERT_EQ(RunProgramBinary({"convert", kPadding, back.string()}).exit_code, 0);
  EXPECT_THAT(ReadTextFile(back / "tokenizer.json", 1 << 20), Not(HasSubstr("PAD")));
  EXPECT_EQ(Json::parse(RunProgramBinary({"tokenize", "-m", back.string(), "x[PAD310]", "--json"}).out).at("ids"), ids);
}

// Every command that reads a model reads the parts of one: by the first part, and by their folder.
class SplitGguf : public GgufFiles {
 protected:
  SplitGguf() {
    WriteGgufOf(ModelWithTokenizer(temp_), whole_);
    parts_ = WriteGgufParts(whole_, folder_, "model", 3);
  }
  // Runs a command with each form of the model, and expects the same standard output; returns it.
  std::string Same(std::vector<std::string> arguments) const {
    const auto run = [&](const fs::path& model) {
      std::vector<std::string> with = arguments;
      if (std::ranges::find(with, "MODEL") == with.end()) with.insert(with.end(), {"-m", "MODEL"});
      std::ranges::replace(with, std::string("MODEL"), model.string());
      const ProgramResult result = RunProgramBinary(with);
      EXPECT_EQ(result.exit_code, 0) << result.err;
      return result.out;
    };
    const std::string want = run(whole_);
    EXPECT_EQ(run(parts_[0]), want);
    EXPECT_EQ(run(folder_), want);
    return want;
  }
  const fs::path whole_ = temp_.path() / "model.gguf", folder_ = temp_.path() / "parts";
  std::vector<fs::path> parts_;
};

TEST_F(SplitGguf, GeneratesScoresAndTokenizesAsTheOneFile) {
  EXPECT_NE(Same({"generate", "Hello", "--greedy", "--max-new-tokens", "5", "--check-weights"}), "");
  EXPECT_NE(Same({"generate", "Hello", "--greedy", "--max-new-tokens", "5", "--quantize", "Q8_0"}), "");
  EXPECT_NE(Same({"tokenize", "Hello  world"}), "");
  WriteFile(temp_.path() / "ids.json", "[[5, 17, 90, 3, 44], [1, 2]]");
  const std::string scores = Same({"score", "--ids-file", (temp_.path() / "ids.json").string(), "--json"});
  EXPECT_THAT(scores, HasSubstr("logprob"));
}

TEST_F(SplitGguf, FitCountsAllParts) {
  const auto parts = [](const fs::path& model) {
    return Json::parse(RunProgramBinary({"fit", "-m", model.string(), "--json"}).out).at("parts");
  };
  EXPECT_EQ(parts(folder_), parts(whole_));
}

TEST_F(SplitGguf, InspectShowsAllParts) {
  const ProgramResult got = RunProgramBinary({"inspect", folder_.string(), "--json", "--hash", "--tensors"});
  ASSERT_EQ(got.exit_code, 0) << got.err;
  const Json parts = Json::parse(got.out),
             whole = Json::parse(RunProgramBinary({"inspect", whole_.string(), "--json", "--tensors"}).out);
  ASSERT_EQ(parts.at("files").size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(parts["files"][i]["name"], parts_[i].filename().string());
    EXPECT_EQ(parts["files"][i]["sha256"], Sha256HexOfFile(parts_[i]));
  }
  EXPECT_EQ(parts["path"], parts_[0].string());
  EXPECT_EQ(parts["weight_bytes"], whole["weight_bytes"]);
  ASSERT_EQ(parts["tensors"].size(), whole["tensors"].size());
  EXPECT_EQ(parts["tensors"].back()["file"], parts_[2].filename().string());
  EXPECT_EQ(parts["tokenizer"], whole["tokenizer"]);
}

TEST_F(SplitGguf, BecomesOneFileAndAFolder) {
  const auto content = [](const fs::path& path) { return ReadTextFile(path, 1 << 26); };
  const auto write = [&](const std::string& command, std::vector<std::string> more) {
    std::vector<std::string> files;
    for (const fs::path& model : {whole_, parts_[0]}) {
      const fs::path out = temp_.path() / (command + std::to_string(files.size()) + ".gguf");
      std::vector<std::string> arguments = {command};
      if (command == "quantize") arguments.emplace_back("-m");
      arguments.insert(arguments.end(), {model.string(), out.string()});
      arguments.insert(arguments.end(), more.begin(), more.end());
      const ProgramResult result = RunProgramBinary(arguments);
      EXPECT_EQ(result.exit_code, 0) << result.err;
      files.push_back(content(out));
    }
    EXPECT_EQ(files[0], files[1]);
    return temp_.path() / (command + "1.gguf");
  };
  write("convert", {});
  const fs::path quantized = write("quantize", {"--type", "Q4_K_M"});
  // A copy of quantized parts, which keeps the keys about the quantization, is not split either.
  const std::vector<fs::path> parts = WriteGgufParts(quantized, temp_.path() / "quantized", "q", 2);
  const fs::path again = temp_.path() / "again.gguf";
  ASSERT_EQ(RunProgramBinary({"convert", parts[0].string(), again.string()}).exit_code, 0);
  EXPECT_EQ(content(again), content(quantized));
  const fs::path of_whole = temp_.path() / "of_whole", of_parts = temp_.path() / "of_parts";
  ASSERT_EQ(RunProgramBinary({"convert", whole_.string(), of_whole.string()}).exit_code, 0);
  ASSERT_EQ(RunProgramBinary({"convert", folder_.string(), of_parts.string()}).exit_code, 0);
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    EXPECT_EQ(content(of_parts / name), content(of_whole / name)) << name;
  }
}

TEST_F(SplitGguf, ImportanceIsThatOfTheOneFile) {
  const fs::path text = temp_.path() / "text.txt";
  WriteFile(text, std::string(400, 'a') + " b c d");
  std::vector<std::string> files;
  for (const fs::path& model : {whole_, folder_}) {
    const fs::path out = temp_.path() / ("i" + std::to_string(files.size()) + ".gguf");
    const ProgramResult result =
        RunProgramBinary({"imatrix", "-m", model.string(), "--file", text.string(), "-o", out.string(), "--quiet"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    files.push_back(ReadTextFile(out, 1 << 24));
  }
  EXPECT_EQ(files[0], files[1]);
}

// A run can resume only with the same parts.
TEST_F(SplitGguf, RunRecordsHaveTheHashOfEveryPart) {
  const fs::path in = temp_.path() / "in.jsonl", out = temp_.path() / "out.jsonl";
  WriteFile(in, "{\"prompt\": \"Hello\"}\n");
  const auto run = [&] {
    return RunProgramBinary({"generate", "-m", folder_.string(), "--input", in.string(), "--output", out.string(),
                             "--greedy", "--max-new-tokens", "2"});
  };
  const ProgramResult first = run();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Json model = Json::parse(ReadTextFile(out.string() + ".run.json", 1 << 20)).at("model");
  ASSERT_EQ(model.size(), 3u);
  for (const fs::path& part : parts_) EXPECT_EQ(model.at(part.filename().string()), Sha256HexOfFile(part));
}

TEST_F(SplitGguf, ErrorsNameThePart) {
  EXPECT_THAT(OneToken(parts_[2]), Fails(1, parts_[2].string(), {"part 3 of 3", parts_[0].string()}));
  fs::remove(parts_[1]);
  EXPECT_THAT(OneToken(folder_), Fails(1, parts_[0].string(), {parts_[1].filename().string(), "download"}));
}

TEST_F(GgufFiles, ThatAreTruncatedSaySo) {
  const fs::path file = temp_.path() / "model.gguf";
  fs::copy_file(kPadding, file);
  const uint64_t bytes = fs::file_size(file);
  fs::resize_file(file, bytes - 1000);
  EXPECT_THAT(OneToken(file), Fails(1, file.string(),
                                    {"truncated", std::to_string(bytes - 1000) + " bytes",
                                     std::to_string(bytes) + " bytes", "download"}));
}

}  // namespace
}  // namespace stablelm
