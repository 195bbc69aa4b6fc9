#include "checkpoint/loaded_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoint/error_text.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tiny_model.h"
#include "checkpoint/torch/torch_builder.h"
#include "ops/convert_values.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<float> Floats(const TensorView& view) {
  std::vector<float> values(static_cast<size_t>(view.NumElements()));
  ConvertValues(view.data, view.dtype, reinterpret_cast<std::byte*>(values.data()), DType::kF32, values.size());
  return values;
}

class LoadedWeightsTest : public testing::Test {
 protected:
  LoadedWeightsTest() { WriteTinyModel(temp_.path()); }
  LoadedWeights Load(const LoadOptions& options = {}) {
    return LoadedWeights::Load(ModelFolder::Open(temp_.path().string()), options);
  }
  void Weights(const std::vector<TinyTensor>& tensors) {
    WriteTinySafetensors(temp_.path() / "model.safetensors", tensors);
  }
  const TempFolder temp_;
};

TEST_F(LoadedWeightsTest, MixedTypesStayAsStoredAndDoubleBecomesFloat) {
  auto tensors = TinyTensors(TinyConfig());
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].dtype = std::array{DType::kF32, DType::kF16, DType::kBF16, DType::kF64}[i % 4];
  }
  Weights(tensors);
  const LoadedWeights weights = Load();
  const auto folder = ModelFolder::Open(temp_.path().string());
  for (size_t i = 0; i < folder->table().size(); ++i) {
    const WeightEntry& entry = folder->table()[i];
    SCOPED_TRACE(entry.name);
    const TensorView view = weights.Get(entry.kind, entry.layer);
    const DType stored = tensors[i].dtype;
    EXPECT_EQ(view.dtype, !entry.IsMatrix() || stored == DType::kF64 ? DType::kF32 : stored);
    const std::vector<float> values = Floats(view);
    for (size_t k = 0; k < values.size(); ++k) ASSERT_EQ(values[k], TinyValue(k));  // exact in all four types
  }
}

TEST_F(LoadedWeightsTest, ConversionIsTheSameForAnyThreadsAndRoundsToNearestEven) {
  auto tensors = TinyTensors(TinyConfig());
  tensors[0].values.resize(80);
  for (size_t i = 0; i < 80; ++i) tensors[0].values[i] = static_cast<float>(i) * 0.123456f - 3;
  Weights(tensors);
  ThreadPool pool(3);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const LoadedWeights one = Load({.dtype = type, .check_values = false, .show_progress = false, .pool = nullptr});
    const LoadedWeights three = Load({.dtype = type, .check_values = true, .show_progress = false, .pool = &pool});
    const TensorView view = one.Get(WeightKind::kEmbedding);
    EXPECT_EQ(view.dtype, type);
    EXPECT_EQ(0, std::memcmp(view.data, three.Get(WeightKind::kEmbedding).data, view.SizeBytes()));
    for (size_t i = 0; i < 80; ++i) {
      const float value = tensors[0].values[i];
      const float want = type == DType::kF16    ? ToFloat(ToF16(value))
                         : type == DType::kBF16 ? ToFloat(ToBF16(value))
                                                : value;
      EXPECT_EQ(Floats(view)[i], want);
    }
    EXPECT_EQ(one.MappedBytes() == 0, type != DType::kF32);
  }
}

TEST_F(LoadedWeightsTest, CheckedValuesNameTheTensor) {
  auto tensors = TinyTensors(TinyConfig());
  const LoadOptions check{.dtype = {}, .check_values = true, .show_progress = false, .pool = nullptr};
  EXPECT_EQ(ErrorText([&] { Load(check); }), "");
  for (const size_t which : {size_t{5}, size_t{6}}) {  // a matrix in place and a vector that is copied
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      auto damaged = tensors;
      damaged[which].values.assign(static_cast<size_t>(damaged[which].shape.NumElements()), 1.0f);
      damaged[which].values[7] = bad;
      Weights(damaged);
      EXPECT_EQ(ErrorText([&] { Load(); }), "");
      EXPECT_THAT(ErrorText([&] { Load(check); }),
                  AllOf(HasSubstr(damaged[which].name), HasSubstr("flat index 7"), HasSubstr("not finite")));
    }
  }
}

TEST_F(LoadedWeightsTest, OverflowOfTheConversionIsFound) {
  auto tensors = TinyTensors(TinyConfig());
  tensors[0].values.assign(80, 70000.0f);
  Weights(tensors);
  EXPECT_THAT(
      ErrorText([&] { Load({.dtype = DType::kF16, .check_values = true, .show_progress = false, .pool = nullptr}); }),
      AllOf(HasSubstr("embed_in"), HasSubstr("overflows when converted")));
}

TEST_F(LoadedWeightsTest, TensorsLargerThanAPieceOfWork) {
  ModelConfig config = TinyConfig();
  config.vocab_size = 70000;
  config.hidden_size = 64;  // 4,480,000 elements: two pieces
  config.n_layers = 1;
  config.tie_word_embeddings = true;
  WriteTinyModel(temp_.path(), config);
  ThreadPool pool(3);
  const LoadOptions options{.dtype = DType::kF16, .check_values = true, .show_progress = false, .pool = &pool};
  const LoadedWeights weights = Load(options);
  const std::vector<float> values = Floats(weights.Get(WeightKind::kEmbedding));
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], TinyValue(i)) << i;
  auto tensors = TinyTensors(config);
  tensors[0].values = values;
  tensors[0].values[4'400'000] = HUGE_VALF;
  Weights(tensors);
  const LoadOptions stored{.dtype = {}, .check_values = true, .show_progress = false, .pool = &pool};
  for (const LoadOptions& checked : {options, stored}) {
    EXPECT_THAT(ErrorText([&] { Load(checked); }), AllOf(HasSubstr("embed_in"), HasSubstr("flat index 4400000 ")));
  }
}

TEST_F(LoadedWeightsTest, TiedModelGivesTheEmbeddingAsOutput) {
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  WriteTinyModel(temp_.path(), config);
  const LoadedWeights weights = Load();
  EXPECT_EQ(weights.Get(WeightKind::kOutput).data, weights.Get(WeightKind::kEmbedding).data);
}

TEST_F(LoadedWeightsTest, ViewsOutliveTheFolderAndAMove) {
  LoadedWeights weights = Load();
  const TensorView view = weights.Get(WeightKind::kOutput);
  const LoadedWeights moved = std::move(weights);
  EXPECT_EQ(moved.Get(WeightKind::kOutput).data, view.data);
  EXPECT_EQ(Floats(view)[3], TinyValue(3));
}

TEST_F(LoadedWeightsTest, TransposedTensorOfATorchFileIsGathered) {
  namespace p = pickled;
  std::vector<std::pair<std::string, std::string>> items;
  std::vector<std::string> storages;
  for (const TinyTensor& tensor : TinyTensors(TinyConfig())) {
    const int64_t n = tensor.shape.NumElements();
    std::string data;
    for (int64_t i = 0; i < n; ++i) {
      const float value = TinyValue(static_cast<size_t>(i));
      data.append(reinterpret_cast<const char*>(&value), 4);
    }
    const std::string storage = p::Storage(std::to_string(storages.size()), n);
    const bool turned = tensor.name == "embed_out.weight";
    std::vector<int64_t> sizes(tensor.shape.dims().begin(), tensor.shape.dims().end()), strides = {1};
    if (sizes.size() == 2) strides = turned ? std::vector<int64_t>{1, 10} : std::vector<int64_t>{sizes[1], 1};
    items.emplace_back(tensor.name, p::Tensor(storage, 0, sizes, strides));
    storages.push_back(data);
  }
  std::filesystem::remove(temp_.path() / "model.safetensors");
  WriteTextFileAtomically(temp_.path() / "pytorch_model.bin", TorchArchive(p::Whole(p::Dict(items)), storages).Build());
  const LoadOptions half{.dtype = DType::kF16, .check_values = true, .show_progress = false, .pool = nullptr};
  for (const LoadOptions& options : {LoadOptions{}, half}) {
    const LoadedWeights weights = Load(options);
    const std::vector<float> output = Floats(weights.Get(WeightKind::kOutput));
    for (size_t row = 0; row < 10; ++row) {
      for (size_t column = 0; column < 8; ++column) ASSERT_EQ(output[row * 8 + column], TinyValue(row + 10 * column));
    }
    EXPECT_EQ(Floats(weights.Get(WeightKind::kEmbedding))[9], TinyValue(9));
  }
}

TEST_F(LoadedWeightsTest, AWeightThatTheModelLacksIsOurMistake) {
  const LoadedWeights weights = Load();
  EXPECT_DEATH(weights.Get(WeightKind::kQkvWeight), "internal check failed");
  EXPECT_DEATH(weights.Get(WeightKind::kQkvWeight, 2), "internal check failed");
}

}  // namespace
}  // namespace stablelm
