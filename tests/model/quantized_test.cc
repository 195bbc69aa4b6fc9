// Whole models with quantized matrices: close to the same weights dequantized, and reproducible bits.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/tensor_values.h"
#include "model/memory_plan.h"
#include "model/model_testing.h"
#include "ops/quant/quant_row.h"
#include "ops/simd.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

const std::filesystem::path kModel = TestData("golden/head128_fp16");  // 256 wide: whole blocks of every type

// Writes the golden model with all matrices quantized to one type.
std::filesystem::path Quantized(const TempFolder& temp, DType type) {
  const auto model = ModelFolder::Open(kModel.string());
  std::vector<GgufTensorEntry> tensors;
  for (const WeightEntry& entry : model->table()) {
    tensors.push_back({GgufTensorName(entry), entry.IsMatrix() ? type : DType::kF32, entry.shape});
  }
  const std::filesystem::path file = temp.path() / (std::string(NameOf(type)) + ".gguf");
  GgufWriter writer(file, GgufMetadataOf(*model), tensors);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const WeightEntry& entry = model->table()[i];
    const std::vector<float> values = FloatsOf(*model, i);
    std::vector<std::byte> bytes(writer.TensorBytes(i));
    if (entry.IsMatrix()) {
      const size_t k = static_cast<size_t>(entry.shape[1]), row_bytes = BytesOf(type, entry.shape[1]);
      for (size_t n = 0; n < static_cast<size_t>(entry.shape[0]); ++n) {
        EncodeRow(type, std::span(values).subspan(n * k, k), {}, bytes.data() + n * row_bytes);
      }
    } else {
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    writer.WriteAt(i, 0, bytes);
  }
  writer.Commit();
  return file;
}

const std::vector<int32_t> kIds = {5, 17, 900, 3, 44, 44, 7, 250, 610, 2, 77, 81, 13, 501, 999, 1, 6, 8, 320, 15};

class QuantizedModel : public testing::TestWithParam<DType> {};

TEST_P(QuantizedModel, IsCloseToItsWeightsDecoded) {
  const TempFolder temp;
  const auto file = Quantized(temp, GetParam());
  const auto got = LogitsInChunks(LoadModel(file), kIds, 32, 2);
  const auto want = LogitsInChunks(LoadModel(file, DType::kF32), kIds, 32, 2);
  double error = 0, signal = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    signal += std::pow(static_cast<double>(want[i]), 2);
  }
  // Rounding x to 8 bits has an error of scale / sqrt(12) per element. For normal values, whose largest of 256 is about
  // 2.8 sigma, that is 2.8 / 127 / sqrt(12) = 0.6 % of a product. Two layers and the output stack at most five
  // products.
  EXPECT_LT(std::sqrt(error / signal), 0.006 * 5) << NameOf(GetParam());
  EXPECT_GT(error, 0) << "decoded after all";
}

TEST_P(QuantizedModel, HasTheSameBitsHoweverItIsRun) {
  const TempFolder temp;
  const auto file = Quantized(temp, GetParam());
  for (const std::string& target : UsableSimdTargets()) {
    SelectSimdTarget(target);
    const Transformer model = LoadModel(file);
    const auto whole = LogitsInChunks(model, kIds, 32, 1);
    for (const int64_t chunk : {1, 3, 7}) {
      const auto parts = LogitsInChunks(model, kIds, chunk, static_cast<size_t>(1 + chunk % 3));
      EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0) << target << " " << chunk;
    }
  }
  SelectSimdTarget("");
}

INSTANTIATE_TEST_SUITE_P(EveryType, QuantizedModel,
                         testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K),
                         [](const auto& type) { return std::string(NameOf(type.param)); });

TEST(QuantizedModels, PlanCountsTheBytesOfTheFile) {
  const TempFolder temp;
  const auto folder = ModelFolder::Open(Quantized(temp, DType::kQ4_K).string());
  uint64_t matrices = 0, vectors = 0;
  for (size_t i = 0; i < folder->table().size(); ++i) {
    (folder->table()[i].IsMatrix() ? matrices : vectors) += folder->TensorOf(i).bytes;
  }
  const WeightBytes plan = PlanWeights(*folder, {});
  const uint64_t padding = BytesOf(DType::kQ4_K, 256) * (1024 - 1000);  // the output matrix has 1,000 rows
  EXPECT_EQ(plan.mapped + plan.allocated, matrices + vectors + padding);
}

}  // namespace
}  // namespace stablelm
