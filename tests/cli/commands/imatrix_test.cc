// stablelm imatrix: the file, its use in quantize, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/sha256.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/rewrite/importance.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "golden_command.h"
#include "ops/convert.h"
#include "program_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

class ImatrixCommand : public testing::Test {
 protected:
  ImatrixCommand() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "Line " + std::to_string(i * 31) + " says: the cat sat on a mat.\n";
    WriteFile(text_, text);
  }
  ProgramResult Run(const fs::path& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"imatrix", "-m", model_, "--file", text_.string(), "-o", out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramBinary(arguments);
  }
  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
  const fs::path text_ = temp_.path() / "text.txt", file_ = temp_.path() / "imatrix.gguf";
};

// A tensor as fp32, with rows in its file's order.
std::vector<float> Values(const ModelFolder& model, size_t entry) {
  const StoredTensor& tensor = model.TensorOf(entry);
  std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
  ConvertValues(model.FileOf(entry).map->bytes().data() + tensor.offset, *tensor.dtype,
                reinterpret_cast<std::byte*>(values.data()), DType::kF32, values.size());
  return values;
}

TEST_F(ImatrixCommand, MakesQuantizedFilesBetterWhereItCounts) {
  const ProgramResult result = Run(file_, {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto source = ModelFolder::Open(model_);
  const size_t linears = 4 * static_cast<size_t>(source->config().n_layers) + 1;
  const Json report = Json::parse(result.out);
  EXPECT_EQ(report.at("matrices"), linears);
  EXPECT_EQ(report.at("window"), 256);
  EXPECT_EQ(report.at("bytes"), fs::file_size(file_));
  EXPECT_GT(report.at("tokens").get<uint64_t>(), 600u);
  const ImportanceMatrix importance = ReadImportance(file_);
  EXPECT_EQ(importance.columns.size(), linears);

  const fs::path with = temp_.path() / "with.gguf", without = temp_.path() / "without.gguf";
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", model_, "--type", "Q4_K", "--imatrix", file_.string(), with.string()})
                .exit_code,
            0);
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", model_, "--type", "Q4_K", without.string()}).exit_code, 0);
  const auto a = ModelFolder::Open(with.string()), b = ModelFolder::Open(without.string());
  for (size_t i = 0; i < source->table().size(); ++i) {
    const WeightEntry& entry = source->table()[i];
    const auto found = importance.columns.find(GgufTensorName(entry));
    if (found == importance.columns.end()) continue;
    SCOPED_TRACE(entry.name);
    const std::vector<float> want = Values(*source, i), x = Values(*a, i), y = Values(*b, i);
    const size_t width = found->second.size();
    double error = 0, plain = 0;
    for (size_t k = 0; k < want.size(); ++k) {
      const auto row = static_cast<int64_t>(k / width);
      const int64_t from = entry.kind == WeightKind::kQkvWeight
                               ? QkvRow(source->config(), QkvOrder::kPerHead, QkvOrder::kStacked, row)
                               : row;
      const double w = want[static_cast<size_t>(from) * width + k % width], weight = found->second[k % width];
      error += weight * std::pow(x[k] - w, 2);
      plain += weight * std::pow(y[k] - w, 2);
    }
    EXPECT_LT(error, plain);
  }
}

TEST_F(ImatrixCommand, SameBytesForAnyThreads) {
  ASSERT_EQ(Run(file_, {"--threads", "1"}).exit_code, 0);
  const fs::path other = temp_.path() / "other.gguf";
  const ProgramResult result = Run(other, {"--threads", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("matrices over"), HasSubstr("windows")));
  EXPECT_EQ(Sha256HexOfFile(file_), Sha256HexOfFile(other));
  const GgufFile gguf(file_);
  EXPECT_EQ(gguf.header().Text("general.type"), "imatrix");
  EXPECT_THAT(gguf.header().Array("imatrix.datasets", GgufType::kString)->Strings(), testing::ElementsAre("text.txt"));
}

TEST_F(ImatrixCommand, ReadsAsMuchAsItIsTold) {
  const ProgramResult result = Run(file_, {"--tokens", "300", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).at("tokens"), 300);
  EXPECT_EQ(Json::parse(result.out).at("windows"), 2);
  // 257 tokens make one window of 256; the last token is dropped because it would be alone.
  EXPECT_EQ(Json::parse(Run(temp_.path() / "b.gguf", {"--tokens", "257", "--json"}).out).at("tokens"), 256);
}

TEST_F(ImatrixCommand, Refusals) {
  EXPECT_THAT(RunProgramBinary({"imatrix", "-m", model_, "-o", file_.string()}), Fails(2, "--file"));
  EXPECT_THAT(RunProgramBinary({"imatrix", "-m", model_, "--file", text_.string()}), Fails(2, "-o, --out"));
  EXPECT_THAT(RunProgramBinary({"imatrix", "--file", text_.string(), "-o", file_.string()}), Fails(2, "--model"));
  for (const char* slip : {"x.ggfu", "x", "x.gguf/"}) {
    EXPECT_THAT(RunProgramBinary({"imatrix", "-m", model_, "--file", text_.string(), "-o", slip}),
                Fails(2, "OUT", {slip, ".gguf"}));
  }
  EXPECT_THAT(Run(temp_.path() / "old.dat"), Fails(2, "--out", {"old.dat", ".gguf"}));
  EXPECT_THAT(Run(temp_.path() / "none" / "x.gguf"), Fails(1, (temp_.path() / "none" / "x.gguf").string()));
  WriteFile(file_, "mine");
  EXPECT_THAT(Run(file_), Fails(1, file_.string()));
  EXPECT_EQ(fs::file_size(file_), 4u);
  fs::remove(file_);
  WriteFile(text_, "");
  EXPECT_THAT(Run(file_), Fails(1, text_.string()));
  fs::remove(fs::path(model_) / "tokenizer.json");
  EXPECT_THAT(Run(file_), Fails(1, model_, {"tokenizer"}));
  EXPECT_FALSE(fs::exists(file_));
}

}  // namespace
}  // namespace stablelm
