// A quantized file apart from its tensor data: sizes, column weights, metadata.
#include "checkpoint/rewrite/quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/rewrite/conversion.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "checkpoint/tiny_model.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::Each;
using testing::HasSubstr;

class QuantizationTest : public testing::Test {
 protected:
  QuantizationTest() {
    ModelConfig config = TinyConfig();
    config.vocab_size = 64;
    config.hidden_size = 64;
    config.intermediate_size = 256;
    WriteTinyModel(temp_.path(), config);
    model_ = ModelFolder::Open(temp_.path().string());
    types_ = ChooseTypes(QuantMixByName("Q8_0", "--type"), {}, model_->table(), nullptr);
  }
  // Importance 1 for every column of every matrix.
  ImportanceMatrix Importance() const {
    ImportanceMatrix importance;
    for (const WeightEntry& entry : model_->table()) {
      if (!entry.IsMatrix()) continue;
      importance.columns[GgufTensorName(entry)] = std::vector<float>(static_cast<size_t>(entry.shape[1]), 1);
    }
    return importance;
  }
  const TempFolder temp_;
  std::shared_ptr<const ModelFolder> model_;
  std::vector<DType> types_;
};

TEST_F(QuantizationTest, SizesAddUp) {
  const QuantizedSize size = SizeOfQuantized(*model_, types_);
  ASSERT_EQ(size.types.size(), 2u);
  EXPECT_EQ(size.types[0].first, DType::kF32);
  EXPECT_EQ(size.types[1].first, DType::kQ8_0);
  const SizeOfType &vectors = size.types[0].second, &matrices = size.types[1].second;
  EXPECT_EQ(vectors.tensors + matrices.tensors, model_->table().size());
  EXPECT_EQ(vectors.elements + matrices.elements, static_cast<uint64_t>(model_->config().NumParameters()));
  EXPECT_EQ(vectors.bytes, 4 * vectors.elements);
  EXPECT_EQ(matrices.bytes, matrices.elements / 32 * 34);
  EXPECT_EQ(size.bytes, vectors.bytes + matrices.bytes);
  EXPECT_EQ(size.source_bytes, SourceBytes(*model_));
  EXPECT_DOUBLE_EQ(size.BitsPerWeight(),
                   8 * static_cast<double>(size.bytes) / static_cast<double>(model_->config().NumParameters()));
  EXPECT_EQ(CountRequantized(*model_, types_), 0u);
}

TEST_F(QuantizationTest, ColumnsWeighWhatTheImportanceSays) {
  ImportanceMatrix importance = Importance();
  const ColumnWeights all = WeighColumns(*model_, types_, importance, "imatrix.gguf");
  EXPECT_EQ(all.used, importance.columns.size());
  EXPECT_EQ(all.quantized, all.used);
  ASSERT_EQ(all.weights.size(), types_.size());

  const std::string name = importance.columns.begin()->first;
  importance.columns.erase(name);
  EXPECT_EQ(WeighColumns(*model_, types_, importance, "").used, all.used - 1);
  importance.columns[name] = {1, 2, 3};
  EXPECT_THAT(ErrorText([&] { WeighColumns(*model_, types_, importance, "imatrix.gguf"); }),
              HasSubstr("imatrix.gguf: \"" + name + "\": the importance is of another model: found 3 columns"));
  EXPECT_THAT(ErrorText([&] { WeighColumns(*model_, types_, {}, "imatrix.gguf"); }),
              HasSubstr("has nothing for the matrices of this model"));
}

TEST_F(QuantizationTest, TypesOfOtherKindsOfFiles) {
  const std::vector<DType> gguf = TypesInGguf(*model_, DType::kF16), folder = TypesInFolder(*model_, DType::kF16);
  EXPECT_THAT(folder, Each(DType::kF16));
  for (size_t i = 0; i < gguf.size(); ++i) {
    EXPECT_EQ(gguf[i], model_->table()[i].IsMatrix() ? DType::kF16 : DType::kF32) << i;
  }
  EXPECT_THAT(TypesInFolder(*model_, {}), Each(*model_->TensorOf(0).dtype));
}

}  // namespace
}  // namespace stablelm
