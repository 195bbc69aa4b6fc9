// A Linear with adapters: the bits of the base product, plus the side path.
#include "model/adapter.h"

#include <cstring>

#include "model/linear.h"
#include "ops/low_rank.h"
#include "ops/matmul.h"
#include "ops/op_testing.h"
#include "ops/quant/quant_row.h"

namespace stablelm {
namespace {

constexpr int64_t kRows = 6, kColumns = 512, kOutputs = 70, kRank = 5;

PackedMatrix Packed(DType type, int64_t rows, int64_t columns, uint64_t seed, Compute compute = Compute::kExact) {
  const auto values = RandomNormals(static_cast<size_t>(rows * columns), seed);
  PackedMatrix packed(type, rows, columns, "matrix", compute);
  std::vector<std::byte> stored(static_cast<size_t>(rows) * packed.row_bytes());
  for (size_t r = 0; r < packed.rows(); ++r) {
    const std::span<const float> row(values.data() + r * packed.columns(), packed.columns());
    std::byte* const to = stored.data() + r * packed.row_bytes();
    IsQuantized(type) ? EncodeRow(type, row, {}, to) : ConvertFromFloat(row.data(), row.size(), type, to);
  }
  PackRows(packed, stored.data());
  return packed;
}

std::vector<Adapter> TwoAdapters() {
  std::vector<Adapter> adapters;
  for (const uint64_t i : {uint64_t{1}, uint64_t{2}}) {
    adapters.push_back({.a = Packed(DType::kF32, kRank * static_cast<int64_t>(i), kColumns, 10 * i),
                        .b = Packed(DType::kF32, kOutputs, kRank * static_cast<int64_t>(i), 10 * i + 1),
                        .scale = 0.5f * static_cast<float>(i)});
  }
  return adapters;
}

TEST(Adapter, AddsToTheBitsOfEveryBase) {
  struct Base {
    DType type;
    Compute compute = Compute::kExact;
    DType rows_as = DType::kF32;
  };
  const auto x = RandomNormals(kRows * kColumns, 1), bias = RandomNormals(kOutputs, 2),
             gain = RandomNormals(kColumns, 3);
  const LayerNormWeights norm = {.weight = gain.data(), .bias = gain.data(), .eps = 1e-5};
  ThreadPool pool(2);
  ExecutionContext exec(pool, kRows, kColumns);
  for (const Base& base : {Base{DType::kF32}, Base{DType::kF16}, Base{DType::kF16, Compute::kExact, DType::kF16},
                           Base{DType::kBF16}, Base{DType::kBF16, Compute::kFast}, Base{DType::kQ8_0},
                           Base{DType::kQ4_0}, Base{DType::kQ4_K}, Base{DType::kQ5_K}, Base{DType::kQ6_K}}) {
    const Linear plain(Packed(base.type, kOutputs, kColumns, 5, base.compute), bias.data(), base.rows_as);
    const Linear adapted = plain.WithAdapters(TwoAdapters());
    for (const Prologue& prologue : {Prologue(), Prologue(norm), Prologue(GeluForm::kErf)}) {
      SCOPED_TRACE(testing::Message() << NameOf(base.type) << ", prologue " << prologue.index());
      std::vector<float> step(x), applied(x.size()), want(kRows * kOutputs), y(want.size());
      ProductRows rows = {.x = x.data(), .rows = kRows, .prologue = prologue, .applied = applied.data()};
      if (rows.has_prologue()) {
        rows.applied = step.data();
        ApplyPrologue(rows, kColumns, exec);
        rows.applied = applied.data();
      }
      plain.Apply(rows, want.data(), exec);
      for (const Adapter& adapter : adapted.adapters()) {
        AddLowRankRef(
            {.x = step.data(), .m = kRows, .a = &adapter.a, .b = &adapter.b, .scale = adapter.scale, .y = want.data()});
      }
      adapted.Apply(rows, y.data(), exec);
      if (HasFma(SimdTargetInUse())) {
        EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0);
      }
      plain.Apply(rows, want.data(), exec);
      EXPECT_NE(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0);
    }
  }
}

}  // namespace
}  // namespace stablelm
