#include "ops/embedding.h"

#include <algorithm>
#include <initializer_list>

#include "ops/embedding_gradient.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

TEST(EmbedTokens, APackedMatrixGivesTheValuesOfItsRows) {
  struct Packing {
    DType type;
    Compute compute;
  };
  for (const size_t threads : std::initializer_list<size_t>{1, 3}) {
    ThreadPool pool(threads);
    ExecutionContext exec(pool, 1, 1);
    for (const Packing& packing : {Packing{DType::kF32, Compute::kExact}, Packing{DType::kF16, Compute::kExact},
                                   Packing{DType::kBF16, Compute::kExact}, Packing{DType::kBF16, Compute::kFast}}) {
      for (const int64_t width : {1, 21, 256, 515}) {
        SCOPED_TRACE(testing::Message() << NameOf(packing.type) << " " << width);
        const int64_t vocab_size = 67;
        const StoredFloats stored(RandomNormals(static_cast<size_t>(vocab_size * width), 21), packing.type,
                                  Shape{vocab_size, width}, 1);
        PackedMatrix packed(packing.type, vocab_size, width, "table", packing.compute);
        PackRows(packed, stored.view().data);
        const std::vector<int32_t> ids = {66, 0, 31, 32, 66, 5, 64, 63};
        GuardedFloats y(ids.size() * static_cast<size_t>(width));
        std::vector<float> want(y.span().size());
        EmbedTokens(packed, ids, y.data(), exec);
        EmbedTokens(stored.view(), ids, want.data(), exec);
        y.Check();
        EXPECT_EQ(std::memcmp(y.data(), want.data(), want.size() * sizeof(float)), 0);
      }
    }
  }
}

// Sums of thirds, whose bits show their order.
TEST(EmbeddingGradient, AddsTheRowsOfAnIdInOrder) {
  for (const size_t rows : std::initializer_list<size_t>{0, 1, 5, 16, 17, 200}) {
    for (const int64_t vocab_size : {1, 7, 515}) {
      const size_t width = rows == 17 ? 1100 : 21;  // several blocks of columns, the last one short
      std::vector<int32_t> ids(rows);
      for (size_t r = 0; r < rows; ++r) ids[r] = static_cast<int32_t>(r * r * 37 % static_cast<size_t>(vocab_size));
      auto dy = RandomNormals(rows * width, 22, 1.0 / 3);
      const auto before = RandomNormals(static_cast<size_t>(vocab_size) * width, 23);
      auto want = before;
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < width; ++c) want[static_cast<size_t>(ids[r]) * width + c] += dy[r * width + c];
      }
      for (const size_t threads : std::initializer_list<size_t>{1, 2, 3, 4}) {
        for (const bool packed : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << rows << " rows of " << vocab_size << (packed ? ", packed" : "") << ", threads " << threads);
          ThreadPool pool(threads);
          ExecutionContext exec(pool, 1, 1);
          const size_t elements =
              PackedMatrix::Bytes(DType::kF32, vocab_size, static_cast<int64_t>(width)) / sizeof(float);
          GuardedFloats d_table(packed ? elements : before.size());
          std::fill_n(d_table.data(), d_table.span().size(), 0.0f);
          const auto place = [&](size_t id, size_t c) {
            if (!packed) return id * width + c;
            return PackedMatrix::OffsetOf(DType::kF32, static_cast<int64_t>(width), Compute::kExact,
                                          static_cast<int64_t>(id), static_cast<int64_t>(c)) /
                   sizeof(float);
          };
          for (size_t i = 0; i < before.size(); ++i) d_table.data()[place(i / width, i % width)] = before[i];
          std::vector<int32_t> order(rows);
          EmbeddingGradient({.ids = ids,
                             .dy = dy.data(),
                             .width = static_cast<int64_t>(width),
                             .d_table = d_table.data(),
                             .packed = packed,
                             .order = order},
                            exec);
          d_table.Check();
          for (size_t i = 0; i < before.size(); ++i) {
            ASSERT_EQ(d_table.data()[place(i / width, i % width)], want[i]) << i / width << ", " << i % width;
          }
          float padding = 0;  // of the last panel: stays zero
          for (size_t i = before.size(); packed && i < elements; ++i) {
            padding += std::abs(d_table.data()[place(i / width, i % width)]);
          }
          EXPECT_EQ(padding, 0);
        }
      }
    }
  }
}

// The lookup is linear in the table, so that a central difference with any step is the derivative; the gradient sums at
// most three rows in fp32.
TEST(EmbeddingGradient, IsTheDerivativeOfTheLookup) {
  const std::vector<int32_t> ids = {4, 0, 4, 6, 4, 2, 0};
  constexpr int64_t kVocabulary = 7, kWidth = 21;
  ThreadPool pool(2);
  ExecutionContext exec(pool, 1, 1);
  auto table = RandomNormals(kVocabulary * kWidth, 31);
  const auto dy = RandomNormals(ids.size() * kWidth, 32);  // the loss is the product of y and dy
  std::vector<float> y(dy.size());
  const auto loss = [&] {
    EmbedTokens(TensorView{reinterpret_cast<const std::byte*>(table.data()), DType::kF32, Shape{kVocabulary, kWidth}},
                ids, y.data(), exec);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * static_cast<double>(dy[i]);
    return sum;
  };
  std::vector<float> gradient(table.size(), 0.0f);
  std::vector<int32_t> order(ids.size());
  EmbeddingGradient({.ids = ids, .dy = dy.data(), .width = kWidth, .d_table = gradient.data(), .order = order}, exec);
  for (size_t i = 0; i < table.size(); ++i) {
    const float saved = table[i];
    table[i] = saved + 0.5f;
    const double above = loss(), high = static_cast<double>(table[i]);
    table[i] = saved - 0.5f;
    const double derivative = (above - loss()) / (high - static_cast<double>(table[i]));
    table[i] = saved;
    EXPECT_NEAR(gradient[i], derivative, 1e-6) << i;
  }
}

}  // namespace
}  // namespace stablelm
