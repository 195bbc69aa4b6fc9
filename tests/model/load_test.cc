#include "model/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoint/tiny_model.h"
#include "checkpoint/torch/torch_builder.h"
#include "error_text.h"
#include "ops/convert.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Reads a tensor from the loaded weights, row by row.
std::vector<float> Values(const ModelWeights& weights, const WeightEntry& entry) {
  const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1, width = entry.shape.NumElements() / rows;
  std::vector<float> values(static_cast<size_t>(rows * width));
  for (int64_t row = 0; row < rows; ++row) weights.ReadRow(entry, row, values.data() + row * width);
  return values;
}
std::vector<float> Values(const ModelWeights& weights, WeightKind kind) {
  for (const WeightEntry& entry : WeightTable(weights.config)) {
    if (entry.kind == kind) return Values(weights, entry);
  }
  ADD_FAILURE() << "no such tensor";
  return {};
}

class LoadTest : public testing::Test {
 protected:
  LoadTest() { WriteTinyModel(temp_.path()); }
  std::shared_ptr<const ModelWeights> Load(const LoadOptions& options = {}) {
    return LoadWeights(ModelFolder::Open(temp_.path().string()), options);
  }
  void Weights(const std::vector<TinyTensor>& tensors) {
    WriteTinySafetensors(temp_.path() / "model.safetensors", tensors);
  }
  const TempFolder temp_;
};

TEST_F(LoadTest, MixedTypesStayAsStoredAndDoubleBecomesFloat) {
  auto tensors = TinyTensors(TinyConfig());
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].dtype = std::array{DType::kF32, DType::kF16, DType::kBF16, DType::kF64}[i % 4];
  }
  Weights(tensors);
  const auto weights = Load();
  const std::vector<WeightEntry> table = WeightTable(weights->config);
  for (const WeightEntry& entry : table) {
    SCOPED_TRACE(entry.name);
    const std::vector<float> values = Values(*weights, entry);
    for (size_t k = 0; k < values.size(); ++k) ASSERT_EQ(values[k], TinyValue(k));  // exact in all four types
  }
  const auto stored = [&](WeightKind kind) {
    const auto at = std::ranges::find(table, kind, &WeightEntry::kind);
    return tensors[static_cast<size_t>(at - table.begin())].dtype;
  };
  const auto as_loaded = [](DType type) { return type == DType::kF64 ? DType::kF32 : type; };
  EXPECT_EQ(weights->embedding.dtype, as_loaded(stored(WeightKind::kEmbedding)));
  EXPECT_EQ(weights->blocks[0].qkv.type(), as_loaded(stored(WeightKind::kQkvWeight)));
  EXPECT_EQ(weights->blocks[0].attn_out.type(), as_loaded(stored(WeightKind::kAttnOutWeight)));
  EXPECT_EQ(weights->output.type(), as_loaded(stored(WeightKind::kOutput)));
}

TEST_F(LoadTest, ConversionIsTheSameForAnyThreadsAndRoundsToNearestEven) {
  auto tensors = TinyTensors(TinyConfig());
  for (const size_t t : {size_t{0}, tensors.size() - 1}) {  // the embedding and the output matrix
    tensors[t].values.resize(80);
    for (size_t i = 0; i < 80; ++i) tensors[t].values[i] = static_cast<float>(i) * 0.123456f - 3;
  }
  Weights(tensors);
  ThreadPool pool(3);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto one = Load({.dtype = type});
    const auto three = Load({.dtype = type, .check_values = true, .pool = &pool});
    EXPECT_EQ(one->embedding.dtype, type);
    EXPECT_EQ(one->output.type(), type);
    for (const WeightKind kind : {WeightKind::kEmbedding, WeightKind::kOutput}) {
      const std::vector<float> values = Values(*one, kind);
      EXPECT_EQ(values, Values(*three, kind));
      for (size_t i = 0; i < 80; ++i) {
        const float value = tensors[0].values[i];
        EXPECT_EQ(values[i], type == DType::kF16    ? ToFloat(ToF16(value))
                             : type == DType::kBF16 ? ToFloat(ToBF16(value))
                                                    : value);
      }
    }
  }
}

// Matrices for Compute::kFast are first rounded to the requested type.
TEST_F(LoadTest, FastRoundsTwiceWhereATypeWasAskedFor) {
  auto tensors = TinyTensors(TinyConfig());
  tensors.back().values.resize(80);
  for (size_t i = 0; i < 80; ++i) tensors.back().values[i] = static_cast<float>(i) * 0.0123456f - 0.3f;
  Weights(tensors);
  const auto once = Load({.compute = Compute::kFast}), twice = Load({.dtype = DType::kF16, .compute = Compute::kFast});
  EXPECT_EQ(once->output.type(), DType::kBF16);
  EXPECT_EQ(once->embedding.dtype, DType::kF32);
  EXPECT_EQ(twice->embedding.dtype, DType::kF16);
  const std::vector<float> a = Values(*once, WeightKind::kOutput), b = Values(*twice, WeightKind::kOutput);
  for (size_t i = 0; i < 80; ++i) {
    EXPECT_EQ(a[i], ToFloat(ToBF16(tensors.back().values[i])));
    EXPECT_EQ(b[i], ToFloat(ToBF16(ToFloat(ToF16(tensors.back().values[i])))));
  }
}

TEST_F(LoadTest, CheckedValuesNameTheTensor) {
  auto tensors = TinyTensors(TinyConfig());
  const LoadOptions check{.check_values = true};
  EXPECT_EQ(ErrorText([&] { Load(check); }), "");
  for (const size_t which : {size_t{5}, size_t{6}}) {  // a matrix used in place and a copied vector
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      auto damaged = tensors;
      damaged[which].values.assign(static_cast<size_t>(damaged[which].shape.NumElements()), 1.0f);
      damaged[which].values[7] = bad;
      Weights(damaged);
      EXPECT_EQ(ErrorText([&] { Load(); }), "");
      EXPECT_THAT(ErrorText([&] { Load(check); }),
                  AllOf(HasSubstr(damaged[which].name), HasSubstr(which == 5 ? "row 0, column 7" : "index 7")));
    }
  }
}

TEST_F(LoadTest, OverflowOfTheConversionIsFound) {
  auto tensors = TinyTensors(TinyConfig());
  tensors[0].values.assign(80, 70000.0f);
  Weights(tensors);
  EXPECT_THAT(ErrorText([&] { Load({.dtype = DType::kF16, .check_values = true}); }),
              AllOf(HasSubstr("embed_in"), HasSubstr("row 0, column 0"), HasSubstr("70000"), HasSubstr("fp16")));
}

TEST_F(LoadTest, TensorsLargerThanAPieceOfWork) {
  ModelConfig config = TinyConfig();
  config.vocab_size = 70000;
  config.hidden_size = 64;  // 4,480,000 elements: many pieces of work; the last panel of the output matrix is not full
  config.n_layers = 1;
  config.tie_word_embeddings = true;
  WriteTinyModel(temp_.path(), config);
  ThreadPool pool(3);
  const LoadOptions options{.dtype = DType::kF16, .check_values = true, .pool = &pool};
  const auto weights = Load(options);
  const std::vector<float> values = Values(*weights, WeightKind::kEmbedding);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], TinyValue(i)) << i;
  auto tensors = TinyTensors(config);
  tensors[0].values = values;
  tensors[0].values[4'400'000] = HUGE_VALF;
  Weights(tensors);
  const LoadOptions stored{.check_values = true, .pool = &pool};
  for (const LoadOptions& checked : {options, stored}) {
    EXPECT_THAT(ErrorText([&] { Load(checked); }), AllOf(HasSubstr("embed_in"), HasSubstr("row 68750, column 0 ")));
  }
}

TEST_F(LoadTest, TiedModelPacksTheEmbeddingAsOutput) {
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  config.vocab_size = 70;  // three panels, the last one not full
  WriteTinyModel(temp_.path(), config);
  for (const std::optional<DType> dtype : {std::optional<DType>(), std::optional(DType::kBF16)}) {
    const auto weights = Load({.dtype = dtype});
    EXPECT_EQ(weights->output.type(), weights->embedding.dtype);
    const std::vector<float> embedding = Values(*weights, WeightKind::kEmbedding);
    std::vector<float> row(8);
    for (int64_t n = 0; n < 70; ++n) {
      weights->output.ReadRow(n, row.data());
      for (size_t k = 0; k < 8; ++k) ASSERT_EQ(row[k], embedding[static_cast<size_t>(n) * 8 + k]);
    }
  }
}

TEST_F(LoadTest, WeightsOutliveTheFolder) {
  auto folder = ModelFolder::Open(temp_.path().string());
  const auto weights = LoadWeights(folder, {});
  folder.reset();
  EXPECT_EQ(Values(*weights, WeightKind::kEmbedding)[3], TinyValue(3));
}

// A Linear works on packed weights that the caller owns and may change between passes.
TEST_F(LoadTest, ALinearMayViewPackedWeights) {
  constexpr int64_t rows = 70, columns = 33;
  ThreadPool pool(2);
  ExecutionContext exec(pool, 3, columns);
  for (const Compute compute : {Compute::kExact, Compute::kFast}) {
    const DType type = compute == Compute::kFast ? DType::kBF16 : DType::kF32;
    AlignedBuffer<std::byte> packed(PackedMatrix::Bytes(type, rows, columns, compute), "packed");
    std::memset(packed.data(), 0, packed.size());
    const Linear view(PackedMatrix::View(type, rows, columns, compute, packed.data()), nullptr);
    std::vector<float> x(3 * columns, 0.0f), y(3 * rows);
    x[columns + 5] = 1;
    for (const float value : {0.5f, -2.0f}) {
      std::byte* const element = packed.data() + PackedMatrix::OffsetOf(type, columns, compute, 66, 5);
      ConvertFromFloat(&value, 1, type, element);
      std::vector<float> row(columns);
      view.ReadRow(66, row.data());
      EXPECT_EQ(row[5], value);
      EXPECT_EQ(std::ranges::count(row, 0.0f), columns - 1);
      view.Apply({.x = x.data(), .rows = 3}, y.data(), exec);
      EXPECT_EQ(y[rows + 66], value);
      EXPECT_EQ(std::ranges::count(y, 0.0f), 3 * rows - 1);
    }
  }
}

TEST_F(LoadTest, TransposedTensorOfATorchFileIsGathered) {
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
  const LoadOptions half{.dtype = DType::kF16, .check_values = true};
  for (const LoadOptions& options : {LoadOptions{}, half}) {
    const auto weights = Load(options);
    const std::vector<float> output = Values(*weights, WeightKind::kOutput);
    for (size_t row = 0; row < 10; ++row) {
      for (size_t column = 0; column < 8; ++column) ASSERT_EQ(output[row * 8 + column], TinyValue(row + 10 * column));
    }
    EXPECT_EQ(Values(*weights, WeightKind::kEmbedding)[9], TinyValue(9));
  }
}

}  // namespace
}  // namespace stablelm
