// Folders saved during training: what they hold, and that they are complete or not there.
#include "train/save_parameters.h"

#include "base/mapped_file.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "error_info.h"
#include "ops/convert.h"
#include "temp_folder.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

constexpr Precision kSavedPrecisions[] = {Precision::kF32, Precision::kBF16, Precision::kF16};

std::vector<float> Rounded(std::vector<float> values, DType type) {
  std::vector<std::byte> rounded(values.size() * sizeof(float));
  ConvertFromFloat(values.data(), values.size(), type, rounded.data());
  ConvertToFloat(type, rounded.data(), values.size(), values.data());
  return values;
}

// The master of an entry, or its weights when it is not trained, in C order.
std::vector<float> Values(const Parameters& parameters, size_t entry) {
  const WeightEntry& weight = parameters.table().entries()[entry].weight;
  const int64_t rows = weight.IsMatrix() ? weight.shape[0] : 1, columns = weight.shape[weight.IsMatrix() ? 1 : 0];
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) parameters.ReadRow(entry, r, values.data() + r * columns);
  return values;
}

TEST(SaveParameters, AFolderHasTheMastersAndRoundedTheWeightsOfTheModel) {
  ThreadPool pool(3);
  for (const char* name : {"odd_width", "sequential"}) {
    for (const Precision precision : kSavedPrecisions) {
      for (const bool frozen : {false, true}) {
        SCOPED_TRACE(std::string(name) + " " + std::string(NameOf(precision)) + (frozen ? " frozen" : ""));
        const std::vector<std::string> trained =
            frozen ? std::vector<std::string>{"*.layers.1.*"} : std::vector<std::string>{};
        const auto parameters = LoadFolder(TestData(std::string("golden/") + name), pool, precision, trained);
        const TempFolder temp;
        SaveParameters(*parameters, temp.path() / "full", {.max_shard_bytes = 100'000}, pool);
        SaveParameters(*parameters, temp.path() / "rounded", {.dtype = WeightType(precision)}, pool);
        EXPECT_TRUE(std::filesystem::exists(temp.path() / "full" / "model.safetensors.index.json"));
        const auto full = LoadFolder(temp.path() / "full", pool), rounded = LoadFolder(temp.path() / "rounded", pool);
        for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
          const WeightEntry& entry = parameters->table().entries()[e].weight;
          EXPECT_EQ(Values(*full, e), Values(*parameters, e)) << entry.name;
          const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1, columns = entry.shape[entry.IsMatrix() ? 1 : 0];
          std::vector<float> used(static_cast<size_t>(rows * columns));
          for (int64_t r = 0; r < rows; ++r) parameters->weights()->ReadRow(entry, r, used.data() + r * columns);
          EXPECT_EQ(Values(*rounded, e), used) << entry.name;
        }
      }
    }
  }
}

TEST(SaveParameters, EveryTypeIsRoundedToNearest) {
  ThreadPool pool(2);
  ModelConfig config = GoldenConfig("odd_width");
  config.tie_word_embeddings = true;
  const auto parameters = RandomParameters(config, pool, 3);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const TempFolder temp;
    SaveParameters(*parameters, temp.path() / "saved", {.dtype = dtype}, pool);
    const auto opened = ModelFolder::Open((temp.path() / "saved").string());
    const auto saved = LoadFolder(temp.path() / "saved", pool);
    for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
      EXPECT_EQ(opened->TensorOf(e).dtype, dtype);
      EXPECT_EQ(Values(*saved, e), Rounded(Values(*parameters, e), dtype));
    }
  }
}

// Parameters from a GGUF file keep its order of QKV rows; the folder has Hugging Face's.
TEST(SaveParameters, WritesTheRowsOfQkvInTheOrderOfFolders) {
  ThreadPool pool(2);
  const auto want = LoadFolder(TestData("golden/odd_width"), pool);
  const ModelConfig& config = want->config();
  Parameters stacked(config, ParameterTable(config), Precision::kF32, QkvOrder::kStacked);
  for (size_t e = 0; e < want->table().entries().size(); ++e) {
    const WeightEntry& entry = want->table().entries()[e].weight;
    const std::vector<float> values = Values(*want, e);
    const bool qkv = entry.kind == WeightKind::kQkvWeight || entry.kind == WeightKind::kQkvBias;
    const size_t units = qkv ? static_cast<size_t>(entry.shape[0]) : 1, each = values.size() / units;
    for (size_t i = 0; i < units; ++i) {
      const int64_t from = qkv ? QkvRow(config, QkvOrder::kPerHead, QkvOrder::kStacked, static_cast<int64_t>(i)) : 0;
      stacked.Set(e, i * each, std::span(values).subspan(static_cast<size_t>(from) * each, each));
    }
  }
  const TempFolder temp;
  SaveParameters(stacked, temp.path() / "saved", {}, pool);
  const auto saved = LoadFolder(temp.path() / "saved", pool);
  for (size_t e = 0; e < want->table().entries().size(); ++e) {
    EXPECT_EQ(Values(*saved, e), Values(*want, e)) << want->table().entries()[e].weight.name;
  }
}

TEST(SaveParameters, ThreadsChangeNoByte) {
  ThreadPool one(1), four(4);
  const auto parameters = RandomParameters(GoldenConfig("parallel"), one, 5);
  const TempFolder temp;
  SaveParameters(*parameters, temp.path() / "a", {.dtype = DType::kF16}, one);
  SaveParameters(*parameters, temp.path() / "b", {.dtype = DType::kF16}, four);
  for (const char* file : {"model.safetensors", "config.json"}) {
    EXPECT_EQ(ReadTextFile(temp.path() / "a" / file, 1 << 24), ReadTextFile(temp.path() / "b" / file, 1 << 24));
  }
}

TEST(SaveParameters, CopiesTheTokenizer) {
  ThreadPool pool(1);
  const auto parameters = RandomParameters(GoldenConfig("parallel"), pool);
  const TempFolder temp;
  SaveParameters(*parameters, temp.path() / "saved", {.tokenizer = TestData("tokenizer")}, pool);
  EXPECT_EQ(ReadTextFile(temp.path() / "saved" / "tokenizer.json", 1 << 24),
            ReadTextFile(TestData("tokenizer/tokenizer.json"), 1 << 24));
}

TEST(SaveParameters, AFailureLeavesNothingBehind) {
  ThreadPool pool(2);
  const auto parameters = RandomParameters(GoldenConfig("parallel"), pool);
  size_t entry = 0;
  while (parameters->table().entries()[entry].weight.kind != WeightKind::kMlpUpWeight) ++entry;
  const size_t columns = static_cast<size_t>(parameters->table().entries()[entry].weight.shape[1]);
  const TempFolder temp;
  const auto is_empty = [&] { return std::filesystem::is_empty(temp.path()); };
  // Finite as fp32, not as fp16.
  const float large = 70000;
  parameters->Set(entry, 35 * columns + 2, {&large, 1});
  EXPECT_THAT(InfoOf([&] { SaveParameters(*parameters, temp.path() / "saved", {.dtype = DType::kF16}, pool); }),
              Names(testing::HasSubstr("layers.0.mlp.dense_h_to_4h.weight"), testing::HasSubstr("70000")));
  EXPECT_TRUE(is_empty());
  parameters->Set(entry, 35 * columns + 2, std::vector<float>{NAN});
  EXPECT_THAT(InfoOf([&] { SaveParameters(*parameters, temp.path() / "saved", {}, pool); }),
              Names(testing::HasSubstr("layers.0.mlp.dense_h_to_4h.weight"), "NaN"));
  EXPECT_TRUE(is_empty());
  parameters->Set(entry, 35 * columns + 2, std::vector<float>{1});
  struct Stop {};
  int pieces = 0;
  EXPECT_THROW(SaveParameters(*parameters, temp.path() / "saved",
                              {.checkpoint =
                                   [&] {
                                     if (++pieces > 3) throw Stop();
                                   }},
                              pool),
               Stop);
  EXPECT_TRUE(is_empty());
  SaveParameters(*parameters, temp.path() / "saved", {}, pool);
  EXPECT_THAT(InfoOf([&] { SaveParameters(*parameters, temp.path() / "saved", {}, pool); }).where,
              testing::HasSubstr("saved"));
}

}  // namespace
}  // namespace stablelm
