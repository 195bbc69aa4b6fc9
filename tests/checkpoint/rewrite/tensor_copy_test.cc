#include "checkpoint/rewrite/tensor_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <mutex>

#include "checkpoint/rewrite/quant_mix.h"
#include "checkpoint/tiny_model.h"
#include "error_text.h"
#include "ops/convert.h"
#include "ops/quant/quant_row.h"
#include "ops/random/random_normal.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Rows of 256 elements; the largest tensor has several pieces.
ModelConfig SmallConfig() {
  ModelConfig config = TinyConfig();
  config.vocab_size = 1100;
  config.hidden_size = 256;
  config.n_heads = 4;
  config.intermediate_size = 1024;
  config.rotary_share = 0.25;
  config.rotary_dims = 16;
  return config;
}

std::vector<TinyTensor> DrawnTensors(const ModelConfig& config) {
  std::vector<TinyTensor> tensors = TinyTensors(config);
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].values.resize(static_cast<size_t>(tensors[i].shape.NumElements()));
    FillNormal(7, i, 0, 0.02f, tensors[i].values.data(), tensors[i].values.size());
  }
  return tensors;
}

using Files = std::vector<std::vector<std::byte>>;  // [table]: bytes of each tensor

class TensorCopyTest : public testing::Test {
 protected:
  void Write(const std::vector<TinyTensor>& tensors) {
    WriteTextFileAtomically(temp_.path() / "config.json", WriteConfig(config_, DType::kF32));
    WriteTinySafetensors(temp_.path() / "model.safetensors", tensors);
  }
  std::vector<DType> Types(std::string_view mix) {
    return ChooseTypes(QuantMixByName(mix, "--type"), {}, WeightTable(config_), nullptr);
  }
  Files Run(const std::vector<DType>& types, size_t threads = 1, bool stack_qkv = false,
            std::vector<std::vector<float>> weights = {}) {
    const auto folder = ModelFolder::Open(temp_.path().string());
    ThreadPool pool(threads);
    Files files;
    std::vector<uint64_t> written(types.size());
    for (size_t i = 0; i < types.size(); ++i) {
      files.emplace_back(BytesOf(types[i], folder->table()[i].shape.NumElements()));
    }
    std::mutex mutex;
    const TensorCopy copy = {.types = types,
                             .weights = std::move(weights),
                             .refuse_non_finite = true,
                             .qkv_order = stack_qkv ? QkvOrder::kStacked : QkvOrder::kPerHead,
                             .pool = &pool};
    CopyTensors(*folder, copy, [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
      const std::lock_guard lock(mutex);
      ASSERT_LE(offset + bytes.size(), files[entry].size());
      std::ranges::copy(bytes, files[entry].begin() + static_cast<std::ptrdiff_t>(offset));
      written[entry] += bytes.size();
    });
    for (size_t i = 0; i < types.size(); ++i) EXPECT_EQ(written[i], files[i].size()) << i;
    return files;
  }
  const TempFolder temp_;
  const ModelConfig config_ = SmallConfig();
};

// Every tensor equals EncodeRow of its rows, for every source type.
TEST_F(TensorCopyTest, RowsOfEveryTensor) {
  for (const DType stored : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    std::vector<TinyTensor> tensors = DrawnTensors(config_);
    for (TinyTensor& tensor : tensors) {
      tensor.dtype = stored;
      for (float& v : tensor.values) {
        v = stored == DType::kF16 ? ToFloat(ToF16(v)) : stored == DType::kBF16 ? ToFloat(ToBF16(v)) : v;
      }
    }
    Write(tensors);
    const std::vector<DType> types = Types("Q4_K_M");
    const Files files = Run(types);
    for (size_t i = 0; i < types.size(); ++i) {
      SCOPED_TRACE(tensors[i].name);
      std::vector<std::byte> want(files[i].size());
      if (IsQuantized(types[i])) {
        const auto row = static_cast<size_t>(tensors[i].shape[1]);
        for (size_t r = 0; r < static_cast<size_t>(tensors[i].shape[0]); ++r) {
          EncodeRow(types[i], std::span(tensors[i].values).subspan(r * row, row), {},
                    want.data() + r * BytesOf(types[i], static_cast<int64_t>(row)));
        }
      } else {
        std::memcpy(want.data(), tensors[i].values.data(), want.size());
      }
      ASSERT_TRUE(files[i] == want);
    }
  }
}

TEST_F(TensorCopyTest, AnyNumberOfThreadsTheSameBytes) {
  Write(DrawnTensors(config_));
  for (const char* mix : {"Q4_K_M", "Q4_0", "F16"}) {
    const std::vector<DType> types = Types(mix);
    const Files one = Run(types, 1, true);
    for (const size_t threads : {2u, 5u}) ASSERT_TRUE(Run(types, threads, true) == one) << mix;
  }
}

// [H, 3, D] to [3, H, D] for matrix and bias; no other tensor is reordered.
TEST_F(TensorCopyTest, StacksQueryKeyValue) {
  Write(DrawnTensors(config_));
  for (const char* mix : {"F32", "Q8_0"}) {
    const std::vector<DType> types = Types(mix);
    const Files as_stored = Run(types, 1, false), stacked = Run(types, 2, true);
    const std::vector<WeightEntry> table = WeightTable(config_);
    const int64_t H = config_.n_heads, D = config_.head_dim();
    for (size_t i = 0; i < table.size(); ++i) {
      SCOPED_TRACE(table[i].name);
      if (table[i].kind != WeightKind::kQkvWeight && table[i].kind != WeightKind::kQkvBias) {
        ASSERT_TRUE(as_stored[i] == stacked[i]);
        continue;
      }
      const size_t row_bytes = as_stored[i].size() / static_cast<size_t>(3 * H * D);
      for (int64_t h = 0; h < H; ++h) {
        for (int64_t part = 0; part < 3; ++part) {
          for (int64_t d = 0; d < D; ++d) {
            const auto from = static_cast<size_t>((h * 3 + part) * D + d),
                       to = static_cast<size_t>((part * H + h) * D + d);
            ASSERT_EQ(
                std::memcmp(as_stored[i].data() + from * row_bytes, stacked[i].data() + to * row_bytes, row_bytes), 0)
                << h << " " << part << " " << d;
          }
        }
      }
    }
  }
}

TEST_F(TensorCopyTest, WeightsReachTheEncoder) {
  Write(DrawnTensors(config_));
  const std::vector<DType> types = Types("Q4_K");
  std::vector<std::vector<float>> weights(types.size());
  std::vector<float> importance(256);
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 8 == 0 ? 50.0f : 1.0f;
  weights[0] = ImportanceWeights(importance);
  const Files plain = Run(types), weighted = Run(types, 1, false, weights);
  EXPECT_FALSE(plain[0] == weighted[0]);
  for (size_t i = 1; i < types.size(); ++i) EXPECT_TRUE(plain[i] == weighted[i]) << i;
}

TEST_F(TensorCopyTest, BadValuesAreNamed) {
  const size_t index = 5;  // query_key_value.weight of layer 0
  ASSERT_EQ(WeightTable(config_)[index].kind, WeightKind::kQkvWeight);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e9f}) {
    for (const char* mix : {"Q4_K", "Q8_0", "F16"}) {
      std::vector<TinyTensor> tensors = DrawnTensors(config_);
      tensors[index].values[3 * 256 + 17] = bad;
      Write(tensors);
      EXPECT_THAT(
          ErrorText([&] { Run(Types(mix)); }),
          AllOf(HasSubstr("model.safetensors"), HasSubstr("query_key_value.weight"), HasSubstr("row 3, column 17")))
          << mix << " " << bad;
    }
  }
  std::vector<TinyTensor> tensors = DrawnTensors(config_);
  tensors[1].values[9] = -std::numeric_limits<float>::infinity();
  Write(tensors);
  EXPECT_THAT(ErrorText([&] { Run(Types("Q4_K")); }), AllOf(HasSubstr("input_layernorm.weight"), HasSubstr("index 9")));
}

TEST_F(TensorCopyTest, SinkAndCheckpointMayEndIt) {
  Write(DrawnTensors(config_));
  const auto folder = ModelFolder::Open(temp_.path().string());
  ThreadPool pool(2);
  const TensorCopy copy = {.types = Types("Q8_0"), .pool = &pool, .checkpoint = [] {
                             throw Error({.where = "stop", .what = "now", .hint = "none"});
                           }};
  EXPECT_THAT(ErrorText([&] { CopyTensors(*folder, copy, [](size_t, uint64_t, std::span<const std::byte>) {}); }),
              HasSubstr("stop"));
}

}  // namespace
}  // namespace stablelm
