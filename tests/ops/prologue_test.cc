#include "ops/prologue.h"

#include <bit>

#include "ops/matmul.h"
#include "ops/op_testing.h"
#include "ops/quant/quant_row.h"

namespace stablelm {
namespace {

struct Weights {
  DType type;
  Compute compute;
};
const Weights kWeights[] = {{DType::kF32, Compute::kExact},  {DType::kF16, Compute::kExact},
                            {DType::kBF16, Compute::kExact}, {DType::kBF16, Compute::kFast},
                            {DType::kQ8_0, Compute::kExact}, {DType::kQ4_K, Compute::kExact}};

PackedMatrix PackedWeights(Weights weights, size_t n, size_t k) {
  const auto values = RandomNormals(n * k, 21);
  PackedMatrix packed(weights.type, static_cast<int64_t>(n), static_cast<int64_t>(k), "weights", weights.compute);
  const size_t row_bytes = BytesOf(weights.type, static_cast<int64_t>(k));
  std::vector<std::byte> rows(n * row_bytes);
  for (size_t r = 0; r < n; ++r) {
    const std::span<const float> row(values.data() + r * k, k);
    if (IsQuantized(weights.type)) {
      EncodeRow(weights.type, row, {}, rows.data() + r * row_bytes);
    } else {
      ConvertFromFloat(row.data(), k, weights.type, rows.data() + r * row_bytes);
    }
  }
  PackRows(packed, rows.data());
  return packed;
}

// y = prologue(x); a copy without one.
void Apply(const Prologue& prologue, const float* x, size_t rows, size_t width, float* y, ExecutionContext& exec) {
  const ProductRows in = {.x = x, .rows = static_cast<int64_t>(rows), .prologue = prologue, .applied = y};
  in.has_prologue() ? ApplyPrologue(in, width, exec) : static_cast<void>(std::copy_n(x, rows * width, y));
}

// The row counts cover streamed products, products of few rows, and products that apply the prologue; the last one
// exceeds the rows that AMX multiplies in one pass.
TEST(Prologue, FusedIntoAProductGivesTheBitsOfBothOneAfterTheOther) {
  ForEachSimdTarget([] {
    constexpr size_t k = 2048, n = 35;
    ThreadPool pool(3);
    const auto weight = RandomNormals(k, 22), bias = RandomNormals(k, 23), out_bias = RandomNormals(n, 24);
    const LayerNormWeights norm = {.weight = weight.data(), .bias = bias.data(), .eps = 1e-5};
    for (const Weights weights : kWeights) {
      const PackedMatrix packed = PackedWeights(weights, n, k);
      for (const size_t m : std::initializer_list<size_t>{4, 9, 45, 520}) {
        if (m > 500 && weights.type != DType::kF16 && weights.type != DType::kQ4_K) continue;
        const auto x = RandomNormals(m * k, 25);
        ExecutionContext exec(pool, m, k);
        for (const Prologue& prologue : {Prologue(norm), Prologue(GeluForm::kErf), Prologue()}) {
          for (const bool in_place : {false, true}) {
            if (m > 500 && (in_place || prologue.index() != 1)) continue;
            SCOPED_TRACE(testing::Message() << NameOf(weights.type) << ", " << m << " rows, prologue "
                                            << prologue.index() << (in_place ? " in place" : ""));
            std::vector<float> applied(m * k), want(m * n);
            Apply(prologue, x.data(), m, k, applied.data(), exec);
            MatMulInput product = {.x = applied.data(),
                                   .m = static_cast<int64_t>(m),
                                   .w = &packed,
                                   .bias = out_bias.data(),
                                   .y = want.data()};
            MatMul(product, exec);

            GuardedFloats room(m * k), y(m * n);
            std::copy(x.begin(), x.end(), room.data());
            product.x = in_place ? room.data() : x.data();
            product.y = y.data();
            product.prologue = prologue;
            product.applied = room.data();
            MatMul(product, exec);
            room.Check();
            y.Check();
            for (size_t i = 0; i < want.size(); ++i) {
              ASSERT_EQ(std::bit_cast<uint32_t>(y.span()[i]), std::bit_cast<uint32_t>(want[i])) << i;
            }
          }
        }
      }
    }
  });
}

// y += prologue(x) Wᵀ + b, with rows that are rounded first, for every kind of weights; quantized ones and tiles too.
TEST(Prologue, AProductThatAddsAddsTheWholeProduct) {
  ForEachSimdTarget([] {
    constexpr size_t k = 256, n = 35;
    ThreadPool pool(3);
    const auto weight = RandomNormals(k, 22), bias = RandomNormals(k, 23), out_bias = RandomNormals(n, 24);
    const LayerNormWeights norm = {.weight = weight.data(), .bias = bias.data(), .eps = 1e-5};
    for (const Weights weights : kWeights) {
      const PackedMatrix packed = PackedWeights(weights, n, k);
      for (const size_t m : std::initializer_list<size_t>{1, 2, 9, 140}) {
        const auto x = RandomNormals(m * k, 25), before = RandomNormals(m * n, 26);
        ExecutionContext exec(pool, m, k);
        for (const Prologue& prologue : {Prologue(norm), Prologue()}) {
          for (const DType rows_as : {DType::kF32, DType::kBF16, DType::kF16}) {
            SCOPED_TRACE(testing::Message() << NameOf(weights.type) << " " << NameOf(weights.compute) << ", " << m
                                            << " rows as " << NameOf(rows_as) << ", prologue " << prologue.index());
            std::vector<float> rows(m * k), room(m * k), want(m * n);
            Apply(prologue, x.data(), m, k, rows.data(), exec);
            if (rows_as != DType::kF32) {
              std::vector<std::byte> half(rows.size() * 2);
              ConvertFromFloat(rows.data(), rows.size(), rows_as, half.data());
              ConvertToFloat(rows_as, half.data(), rows.size(), rows.data());
            }
            MatMulInput product = {.x = rows.data(),
                                   .m = static_cast<int64_t>(m),
                                   .w = &packed,
                                   .bias = out_bias.data(),
                                   .y = want.data()};
            // Compute::kFast rounds to bf16 whatever it is told.
            if (weights.compute == Compute::kFast && rows_as == DType::kF16) continue;
            MatMul(product, exec);
            GuardedFloats y(m * n);
            std::copy(before.begin(), before.end(), y.data());
            product.x = x.data();
            product.y = y.data();
            product.prologue = prologue;
            product.applied = room.data();
            product.add = true;
            product.rows_as = rows_as;
            MatMul(product, exec);
            y.Check();
            for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(y.span()[i], before[i] + want[i]) << i;
          }
        }
      }
    }
  });
}

TEST(Prologue, OneRowHasTheBitsOfAllRows) {
  ForEachSimdTarget([] {
    constexpr size_t rows = 7, width = 77;
    ThreadPool pool(2);
    ExecutionContext exec(pool, rows, width);
    const auto weight = RandomNormals(width, 32), bias = RandomNormals(width, 33), x = RandomNormals(rows * width, 35);
    const LayerNormWeights norm = {.weight = weight.data(), .bias = bias.data(), .eps = 1e-5};
    for (const Prologue& prologue : {Prologue(norm), Prologue(GeluForm::kErf), Prologue(GeluForm::kTanh), Prologue()}) {
      std::vector<float> all(rows * width), one(width);
      Apply(prologue, x.data(), rows, width, all.data(), exec);
      for (size_t r = 0; r < rows; ++r) {
        const float* const row = ApplyPrologueToRow(prologue, x.data() + r * width, width, one.data());
        EXPECT_EQ(row == one.data(), prologue.index() != 0);
        EXPECT_EQ(std::memcmp(row, all.data() + r * width, width * sizeof(float)), 0);
      }
    }
  });
}

}  // namespace
}  // namespace stablelm
