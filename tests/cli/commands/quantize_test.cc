// stablelm quantize: the file that it writes, the same bytes for any threads, SIMD target and source, and what it
// refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/sha256.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "checkpoint/tiny_model.h"
#include "ops/convert.h"
#include "ops/quant/quant_row.h"
#include "ops/random/random_normal.h"
#include "ops/simd.h"
#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

ModelConfig SmallConfig(int64_t width = 256) {
  ModelConfig config = TinyConfig();
  config.vocab_size = 600;
  config.hidden_size = width;
  config.n_layers = 3;
  config.n_heads = 4;
  config.intermediate_size = 2 * width;
  config.rotary_share = 0.25;
  config.rotary_dims = width / 16;
  return config;
}

class QuantizeCommand : public testing::Test {
 protected:
  QuantizeCommand() { WriteModel(SmallConfig()); }
  void WriteModel(const ModelConfig& config, const std::function<void(std::vector<TinyTensor>&)>& change = {}) {
    fs::create_directories(model_);
    std::vector<TinyTensor> tensors = TinyTensors(config, DType::kF16);
    for (size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].values.resize(static_cast<size_t>(tensors[i].shape.NumElements()));
      FillNormal(3, i, 0, 0.02f, tensors[i].values.data(), tensors[i].values.size());
    }
    if (change) change(tensors);
    WriteTextFileAtomically(model_ / "config.json", WriteConfig(config, DType::kF16));
    WriteTinySafetensors(model_ / "model.safetensors", tensors);
  }
  ProgramResult Run(const fs::path& out, std::vector<std::string> more = {}, const std::string& simd = {},
                    const fs::path& model = {}) {
    std::vector<std::string> arguments = {"quantize", "-m", (model.empty() ? model_ : model).string(), out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramInput input;
    if (!simd.empty()) input.environment["STABLELM_SIMD"] = simd;
    return RunProgramBinary(arguments, input);
  }
  std::string HashOf(const std::string& name, std::vector<std::string> more, const std::string& simd = {},
                     const fs::path& model = {}) {
    const fs::path out = folder_.path() / (name + ".gguf");
    const ProgramResult result = Run(out, std::move(more), simd, model);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Sha256HexOfFile(out);
  }
  const TempFolder folder_;
  const fs::path model_ = folder_.path() / "model";
};

// A whole tensor as fp32, in its file's order.
std::vector<float> Floats(const ModelFolder& model, size_t entry) {
  const StoredTensor& tensor = model.TensorOf(entry);
  const std::byte* data = model.FileOf(entry).map->bytes().data() + tensor.offset;
  std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
  if (IsQuantized(*tensor.dtype)) {
    DecodeRow(*tensor.dtype, data, values);
  } else {
    ConvertToFloat(*tensor.dtype, data, values.size(), values.data());
  }
  return values;
}

TEST_F(QuantizeCommand, WritesEveryTensorInItsType) {
  const fs::path file = folder_.path() / "q.gguf";
  const ProgramResult result = Run(file, {"--json", "--tensor", "blk.1.attn_output.weight=Q8_0"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report.at("bytes"), fs::file_size(file));
  EXPECT_EQ(report.at("types").at("Q8_0").at("tensors"), 1);

  const auto source = ModelFolder::Open(model_.string()), got = ModelFolder::Open(file.string());
  std::map<std::string, DType> types;
  for (size_t i = 0; i < got->table().size(); ++i) {
    const WeightEntry& entry = got->table()[i];
    SCOPED_TRACE(entry.name);
    types[GgufTensorName(entry)] = *got->TensorOf(i).dtype;
    const std::vector<float> want = Floats(*source, i), have = Floats(*got, i);
    ASSERT_EQ(want.size(), have.size());
    const bool qkv = entry.kind == WeightKind::kQkvWeight || entry.kind == WeightKind::kQkvBias;
    const size_t width = entry.IsMatrix() ? static_cast<size_t>(entry.shape[1]) : 1;
    double error = 0, power = 0;
    for (size_t k = 0; k < have.size(); ++k) {
      const auto row = static_cast<int64_t>(k / width);
      const auto from =
          static_cast<size_t>(qkv ? QkvRow(source->config(), QkvOrder::kPerHead, QkvOrder::kStacked, row) : row);
      const double w = want[from * width + k % width];
      error += std::pow(have[k] - w, 2);
      power += w * w;
    }
    // Relative errors of normally distributed values: 7.2 % in Q4_K, 3.7 % in Q5_K, 1.8 % in Q6_K, 0.6 % in Q8_0.
    const DType type = *got->TensorOf(i).dtype;
    const double bound = type == DType::kQ4_K   ? 0.08
                         : type == DType::kQ5_K ? 0.04
                         : type == DType::kQ6_K ? 0.02
                         : type == DType::kQ8_0 ? 0.007
                                                : 0;
    EXPECT_LE(std::sqrt(error / power), bound);
  }
  EXPECT_EQ(types.at("token_embd.weight"), DType::kQ4_K);
  EXPECT_EQ(types.at("output.weight"), DType::kQ6_K);
  EXPECT_EQ(types.at("blk.0.attn_qkv.weight"), DType::kQ5_K);
  EXPECT_EQ(types.at("blk.1.attn_output.weight"), DType::kQ8_0);
  EXPECT_EQ(types.at("blk.1.ffn_up.weight"), DType::kQ4_K);
  EXPECT_EQ(types.at("blk.1.attn_qkv.bias"), DType::kF32);

  const GgufFile gguf(file);
  EXPECT_EQ(gguf.header().Integer("general.file_type"), 15);
  EXPECT_EQ(gguf.header().Integer("general.quantization_version"), 2);
  EXPECT_EQ(gguf.header().Text("stablelm.quantize.type"), "Q4_K_M");
}

TEST_F(QuantizeCommand, SameBytesForAnyThreadsTargetAndSource) {
  for (const char* type : {"Q4_K_M", "Q4_0", "Q8_0", "F16"}) {
    const std::string base = std::string(type) + "-";
    const std::string want = HashOf(base + "1", {"--type", type, "--threads", "1"});
    EXPECT_EQ(HashOf(base + "3", {"--type", type, "--threads", "3"}), want);
    for (const std::string& target : UsableSimdTargets()) {
      EXPECT_EQ(HashOf(base + target, {"--type", type}, target), want) << target;
    }
  }
  const fs::path f32 = folder_.path() / "f32.gguf";
  ASSERT_EQ(Run(f32, {"--type", "F32"}).exit_code, 0);
  const fs::path from_folder = folder_.path() / "folder.gguf", from_file = folder_.path() / "file.gguf";
  ASSERT_EQ(Run(from_folder, {"--type", "Q5_K"}).exit_code, 0);
  const ProgramResult result = Run(from_file, {"--type", "Q5_K"}, {}, f32);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err.find("warning"), std::string::npos) << result.err;
  const auto a = ModelFolder::Open(from_folder.string()), b = ModelFolder::Open(from_file.string());
  for (size_t i = 0; i < a->table().size(); ++i) EXPECT_EQ(Floats(*a, i), Floats(*b, i)) << a->table()[i].name;
}

TEST_F(QuantizeCommand, NamesTheModel) {
  const fs::path file = folder_.path() / "named.gguf";
  ASSERT_EQ(Run(file, {"--name", "my model"}).exit_code, 0);
  EXPECT_EQ(GgufFile(file).header().Text("general.name"), "my model");
}

TEST_F(QuantizeCommand, ATypeInLowerCaseIsOneBesideTheModelOfTheEnvironment) {
  const ProgramInput input = {.environment = {{"STABLELM_MODEL", model_.string()}}};
  const ProgramResult result = RunProgramBinary({"quantize", (folder_.path() / "q.gguf").string(), "q8_0"}, input);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(RunProgramBinary({"quantize", "q8_0"}, input), Fails(2, "OUT", {"model.gguf q8_0"}));
}

TEST_F(QuantizeCommand, QuantizingTwiceWarns) {
  const fs::path first = folder_.path() / "q8.gguf";
  ASSERT_EQ(Run(first, {"--type", "Q8_0"}).exit_code, 0);
  const ProgramResult second = Run(folder_.path() / "q4.gguf", {"--type", "Q4_K"}, {}, first);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("errors add up"));
  // Quantizing to the same type again copies.
  EXPECT_EQ(HashOf("again", {"--type", "Q8_0"}, {}, first), Sha256HexOfFile(first));
}

TEST_F(QuantizeCommand, PlanSaysItAndWritesNothing) {
  const ProgramResult plan =
      RunProgramBinary({"quantize", "-m", model_.string(), "--type", "Q4_K", "--plan", "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const auto report = nlohmann::json::parse(plan.out);
  EXPECT_EQ(report.at("types").at("Q6_K").at("tensors"), 1);
  EXPECT_EQ(report.at("types").at("Q6_K").at("bytes"), 600 * 210);
  const fs::path file = folder_.path() / "q.gguf";
  EXPECT_EQ(Run(file, {"--plan"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(file));
}

// A repeatable option takes one value each time and does not swallow the file name after it.
TEST_F(QuantizeCommand, RulesBeforeTheFile) {
  const fs::path file = folder_.path() / "q.gguf";
  const ProgramResult result = RunProgramBinary({"quantize", "-m", model_.string(), "--type", "Q4_K", "--tensor",
                                                 "blk.0.*=Q6_K", "--tensor", "embed_out.weight=Q8_0", file.string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(QuantizeCommand, RowsThatDoNotFit) {
  WriteModel(SmallConfig(160));
  const fs::path file = folder_.path() / "q.gguf";
  const ProgramResult result = Run(file, {"--type", "Q4_K"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("rows of 160"), HasSubstr("Q8_0")));
  EXPECT_THAT(Run(folder_.path() / "s.gguf", {"--type", "Q4_K", "--strict"}),
              Fails(1, "tensor \"", {"160", "Q4_K", "--strict"}));
  EXPECT_FALSE(fs::exists(folder_.path() / "s.gguf"));
}

TEST_F(QuantizeCommand, Refusals) {
  const fs::path file = folder_.path() / "q.gguf";
  EXPECT_THAT(RunProgramBinary({"quantize"}), Fails(2, "MODEL"));
  EXPECT_THAT(RunProgramBinary({"quantize", model_.string()}), Fails(2, "OUT"));
  EXPECT_THAT(RunProgramBinary({"quantize", "-m", model_.string()}), Fails(2, "OUT"));
  EXPECT_THAT(Run(file, {"--type", "Q4_KM"}), Fails(2, "--type", {"\"Q4_KM\"", "Q4_K_M?"}));
  EXPECT_THAT(Run(file, {"--tensor", "x"}), Fails(2, "--tensor", {"\"x\"", "PATTERN=TYPE"}));
  EXPECT_THAT(Run(folder_.path() / "q.bin"), Fails(2, "OUT", {"q.bin", ".gguf"}));
  EXPECT_THAT(RunProgramBinary({"quantize", model_.string(), "q4_0"}),
              Fails(2, "OUT", {"\"q4_0\"", "model.gguf q4_0"}));
  EXPECT_THAT(Run(file, {"--plan", "--check", "text"}), Fails(2, "--plan", {"--check"}));
  EXPECT_THAT(Run(file, {"--plan", "--imatrix", "nothing"}), Fails(1, "nothing"));
  EXPECT_THAT(Run(file, {"--tensor", "nothing*=Q8_0"}), Fails(1, "--tensor", {"\"nothing*\""}));
  WriteTextFileAtomically(file, "mine");
  EXPECT_THAT(Run(file), Fails(1, file.string()));
  EXPECT_EQ(fs::file_size(file), 4u);
}

TEST_F(QuantizeCommand, DamagedWeightsLeaveNoFile) {
  for (const size_t tensor : {size_t{0}, size_t{1}}) {  // a matrix, a norm
    WriteModel(SmallConfig(), [&](std::vector<TinyTensor>& tensors) {
      tensors[tensor].values[200] = std::numeric_limits<float>::quiet_NaN();
    });
    const ProgramResult result = Run(folder_.path() / "q.gguf");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, AllOf(HasSubstr("NaN"), HasSubstr(tensor == 0 ? "row 0, column 200" : "index 200")));
    for (const auto& entry : fs::directory_iterator(folder_.path())) EXPECT_EQ(entry.path(), model_);
  }
}

TEST_F(QuantizeCommand, ImportanceMatrix) {
  const fs::path imatrix = folder_.path() / "imatrix.gguf";
  const auto write = [&](const std::string& name, size_t columns) {
    std::vector<float> sums(columns), counts = {8};
    for (size_t i = 0; i < columns; ++i) sums[i] = i % 16 == 0 ? 800.0f : 1.0f;
    GgufMetadata metadata;
    metadata.SetText("general.type", "imatrix");
    const std::vector<GgufTensorEntry> entries = {{name + ".in_sum2", DType::kF32, {static_cast<int64_t>(columns)}},
                                                  {name + ".counts", DType::kF32, {1}}};
    GgufWriter writer(imatrix, metadata, entries);
    writer.WriteAt(0, 0, std::as_bytes(std::span(sums)));
    writer.WriteAt(1, 0, std::as_bytes(std::span(counts)));
    writer.Commit();
  };
  write("blk.0.ffn_up.weight", 256);
  const fs::path with = folder_.path() / "with.gguf", without = folder_.path() / "without.gguf";
  const ProgramResult result = Run(with, {"--imatrix", imatrix.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("importance for 1 of"));
  ASSERT_EQ(Run(without).exit_code, 0);
  const auto a = ModelFolder::Open(with.string()), b = ModelFolder::Open(without.string());
  for (size_t i = 0; i < a->table().size(); ++i) {
    EXPECT_EQ(Floats(*a, i) != Floats(*b, i), GgufTensorName(a->table()[i]) == "blk.0.ffn_up.weight");
  }
  EXPECT_EQ(GgufFile(with).header().Text("quantize.imatrix.file"), "imatrix.gguf");

  write("blk.0.ffn_up.weight", 128);
  EXPECT_THAT(Run(folder_.path() / "x.gguf", {"--imatrix", imatrix.string()}),
              Fails(1, imatrix.string(), {"128 columns", "256 columns"}));
  write("blk.9.ffn_up.weight", 256);
  EXPECT_THAT(Run(folder_.path() / "x.gguf", {"--imatrix", imatrix.string()}), Fails(1, imatrix.string()));
}

}  // namespace
}  // namespace stablelm
