#include "ops/cpu/stream_prefetch.h"
#include "ops/matmul.h"
#include "ops/op_testing.h"
#include "ops/quant/quant_row.h"
#include "ops/quantized_rows.h"

namespace stablelm {
namespace {

constexpr DType kTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

struct QuantCase {
  size_t m, n, k;  // k in blocks
};

// Sizes around the streams (4 panels), the panel (32 rows), the tile height (6), the rows whose sums are kept together
// (256) and the share of one thread.
const QuantCase kQuantCases[] = {{1, 1, 1},  {1, 33, 3}, {1, 140, 2}, {2, 140, 2}, {3, 31, 1},  {4, 129, 2}, {5, 7, 3},
                                 {8, 64, 1}, {9, 40, 2}, {17, 65, 1}, {33, 32, 2}, {70, 36, 1}, {259, 33, 1}};

TEST(QuantMatMul, TargetsWithFmaGiveTheBitsOfThePlainLoops) {
  ForEachSimdTarget([] {
    const std::string target = SimdTargetInUse();
    ThreadPool pool(3);
    for (const DType type : kTypes) {
      for (const QuantCase c : kQuantCases) {
        const size_t k = c.k * static_cast<size_t>(BlockElements(type));
        SCOPED_TRACE(testing::Message() << NameOf(type) << " m " << c.m << " n " << c.n << " k " << k);
        const PackedMatrix packed = RandomQuantized(type, c.n, k, 1);
        const auto x = RandomNormals(c.m * k, 2), bias = RandomNormals(c.n, 3);
        ExecutionContext exec(pool, c.m, k);
        GuardedFloats y(c.m * c.n);
        std::vector<float> want(c.m * c.n);
        const int64_t m = static_cast<int64_t>(c.m);
        MatMul({.x = x.data(), .m = m, .w = &packed, .bias = bias.data(), .y = y.data()}, exec);
        MatMulQuantRef({.x = x.data(), .m = m, .w = &packed, .bias = bias.data(), .y = want.data()});
        y.Check();
        for (size_t i = 0; i < want.size(); ++i) {
          // Without FMA the product is rounded once more in each fold: 2 eps of at most k * 127 * 2^14 * 2^-4 * scale.
          const double slack = HasFma(target) ? 0 : 1e-5 * std::abs(static_cast<double>(want[i])) + 1;
          ASSERT_TRUE(Near(y.span()[i], want[i], slack)) << target << " " << i << ": " << y.span()[i] << " " << want[i];
        }
      }
    }
  });
}

// Large enough that weights are asked for far ahead where the processor is Intel's: a panel alone and two side by side,
// an odd number of panels among them.
TEST(QuantMatMul, AskingFarAheadKeepsTheBits) {
  struct Restorer {
    ~Restorer() { SelectFarPrefetch({}); }
  } restorer;
  const size_t k = 2048;
  ForEachSimdTarget([] {
    if (!HasFma(SimdTargetInUse())) return;
    ThreadPool pool(3);
    for (const DType type : kTypes) {
      const size_t n = kFarPrefetchBytes / BytesOf(type, k) / (2 * kPanelRows) * 2 * kPanelRows + 2 * kPanelRows + 5;
      const PackedMatrix packed = RandomQuantized(type, n, k, 8);
      for (const size_t m : std::initializer_list<size_t>{1, 2, 9}) {
        const auto x = RandomNormals(m * k, 9);
        ExecutionContext exec(pool, m, k);
        std::vector<float> want(m * n);
        MatMulQuantRef({.x = x.data(), .m = static_cast<int64_t>(m), .w = &packed, .bias = nullptr, .y = want.data()});
        for (const bool far : {false, true}) {
          SelectFarPrefetch(far);
          ASSERT_EQ(AsksFar(packed), far);
          std::vector<float> y(m * n);
          MatMul({.x = x.data(), .m = static_cast<int64_t>(m), .w = &packed, .bias = nullptr, .y = y.data()}, exec);
          EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0)
              << SimdTargetInUse() << " " << NameOf(type) << " m " << m << " far " << far;
        }
      }
    }
  });
}

// Recorded once: x86 and Arm, every compiler and every processor with fused multiply-adds agree on them.
TEST(QuantMatMul, TargetsWithFmaGiveTheRecordedBits) {
  const std::pair<DType, const char*> recorded[] = {{DType::kQ8_0, "72550e6850c350ec"},
                                                    {DType::kQ4_0, "5102c070b642a626"},
                                                    {DType::kQ4_K, "d6976293f2908bae"},
                                                    {DType::kQ5_K, "d501145568edf9aa"},
                                                    {DType::kQ6_K, "25efc26eedc34730"}};
  ForEachSimdTarget([&] {
    if (!HasFma(SimdTargetInUse())) return;
    for (const auto& [type, want] : recorded) {
      const size_t m = 11, n = 70, k = 512;
      const PackedMatrix packed = RandomQuantized(type, n, k, 10);
      const auto x = RandomFractions(m * k, 11), bias = RandomFractions(n, 12);
      ThreadPool pool(2);
      ExecutionContext exec(pool, m, k);
      std::vector<float> y(m * n);
      MatMul({.x = x.data(), .m = 11, .w = &packed, .bias = bias.data(), .y = y.data()}, exec);
      EXPECT_EQ(DigestOf(y), want) << NameOf(type);
    }
  });
}

// The reference loops compute W x, up to the rounding of x.
TEST(QuantMatMul, PlainLoopsHoldToTheProductOfDecodedWeights) {
  for (const DType type : kTypes) {
    const size_t m = 3, n = 40, k = 512, block = static_cast<size_t>(BlockElements(type));
    const PackedMatrix packed = RandomQuantized(type, n, k, 4);
    const auto x = RandomNormals(m * k, 5);
    std::vector<float> y(m * n), want(m * n), row(k);
    MatMulQuantRef({.x = x.data(), .m = 3, .w = &packed, .bias = nullptr, .y = y.data()});
    MatMulRef({.x = x.data(), .m = 3, .w = &packed, .bias = nullptr, .y = want.data()});
    for (size_t i = 0; i < y.size(); ++i) {
      packed.UnpackRow(i % n, row.data());
      double bound = 0, magnitude = 0;
      for (size_t b = 0; b < k; b += block) {
        const float* xb = x.data() + i / n * k + b;
        double largest = 0, sum = 0;
        for (size_t j = 0; j < block; ++j) {
          largest = std::max(largest, std::abs(static_cast<double>(xb[j])));
          sum += std::abs(static_cast<double>(row[b + j]));
        }
        bound += sum * largest / 254;
        magnitude += sum * largest;
      }
      // Half a step of x for each weight, and the roundings of the folds. Minimums cancel against quants: Q4_K and Q5_K
      // sum larger terms than |w| shows, by the largest quant.
      EXPECT_TRUE(Near(y[i], want[i], 1.01 * bound + 64 * kEps * magnitude * 64)) << NameOf(type) << " " << i;
    }
  }
}

TEST(QuantMatMul, RowsHaveTheSameBitsAloneInBatchesAndWithAnyThreads) {
  ForEachSimdTarget([] {
    for (const DType type : kTypes) {
      const size_t m = 21, n = 150, k = 512;
      const PackedMatrix packed = RandomQuantized(type, n, k, 6);
      const auto x = RandomNormals(m * k, 7);
      const auto run = [&](size_t first, size_t rows, size_t threads) {
        ThreadPool pool(threads);
        ExecutionContext exec(pool, rows, k);
        std::vector<float> y(rows * n);
        MatMul(
            {.x = x.data() + first * k, .m = static_cast<int64_t>(rows), .w = &packed, .bias = nullptr, .y = y.data()},
            exec);
        return y;
      };
      const auto all = run(0, m, 1);
      for (const size_t rows : std::initializer_list<size_t>{1, 2, 3, 4, 5, 8, 9, 17, 21}) {
        for (const size_t first : {size_t{0}, m - rows}) {
          const auto part = run(first, rows, 1 + rows % 3);
          ASSERT_EQ(std::memcmp(part.data(), all.data() + first * n, part.size() * sizeof(float)), 0)
              << NameOf(type) << " rows " << rows << " from " << first;
        }
      }
    }
  });
}

// The offsets that ops/quantized_rows.h defines, from the sums of 16 quants each.
std::vector<int32_t> Offsets(DType type, const std::vector<int32_t>& sums) {
  std::vector<int32_t> offsets(OffsetWords(type));
  auto* const bytes = reinterpret_cast<int8_t*>(offsets.data());
  if (type == DType::kQ8_0 || type == DType::kQ4_0) return {(type == DType::kQ8_0 ? -128 : -8) * (sums[0] + sums[1])};
  for (size_t i = 0; i < sums.size(); ++i) {
    if (type == DType::kQ6_K) {
      offsets[i] = -32 * sums[i];
      offsets[16 + i / 2] |= static_cast<int32_t>((static_cast<uint32_t>(sums[i]) & 0xFFFFu) << (16 * (i % 2)));
    } else if (i % 2 == 0) {
      const int32_t sum = sums[i] + sums[i + 1];
      const int32_t low = ((sum % 128 + 128 + 64) % 128) - 64;
      bytes[8 + i / 2] = static_cast<int8_t>(low);
      bytes[i / 2] = static_cast<int8_t>((sum - low) / 128);
    }
  }
  return offsets;
}

TEST(QuantizedRows, EveryTargetRoundsAsThePlainLoop) {
  ForEachSimdTarget([] {
    for (const DType type : kTypes) {
      const size_t block = static_cast<size_t>(BlockElements(type)), k = 2 * block, offset_words = OffsetWords(type);
      for (const double scale : {1.0, 1e-32, 1e-38, 1e30, 0.0}) {
        auto x = RandomNormals(k, 8, scale);
        if (scale == 1.0) {
          x[0] = 127;  // whole and half steps, to even
          for (size_t i = 1; i < block; ++i) x[i] = static_cast<float>(i % 64) + 0.5f;
        }
        AlignedBuffer<std::byte> memory(QuantizedRows::Bytes(3, k, type), "rows");
        const QuantizedRows rows = QuantizedRows::In(memory.data(), 3, k, type);
        for (size_t m = 0; m < 3; ++m) rows.Set(m, x.data());
        std::vector<int8_t> q(block);
        float want = 0;
        for (size_t b = 0; b < 2; ++b) {
          QuantizeBlockRef(x.data() + b * block, block, q.data(), &want);
          EXPECT_EQ(std::memcmp(rows.Scale(b, 1), &want, sizeof want), 0) << scale;
          EXPECT_EQ(std::memcmp(rows.Quants(b, 1), q.data(), block), 0) << scale;
          std::vector<int32_t> sums(block / 16);
          for (size_t i = 0; i < block; ++i) sums[i / 16] += q[i];
          EXPECT_EQ(Offsets(type, sums), std::vector(rows.Offsets(b, 1), rows.Offsets(b, 1) + offset_words));
        }
      }
    }
  });
}

TEST(QuantizedRows, ValuesThatAreNotFiniteShow) {
  ForEachSimdTarget([] {
    ThreadPool pool(1);
    const PackedMatrix packed = RandomQuantized(DType::kQ4_K, 5, 512, 9);
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      std::vector<float> x(512, 0.0f), y(5);
      x[300] = bad;
      ExecutionContext exec(pool, 1, 512);
      MatMul({.x = x.data(), .m = 1, .w = &packed, .bias = nullptr, .y = y.data()}, exec);
      for (const float value : y) EXPECT_FALSE(std::isfinite(value));
    }
  });
}

}  // namespace
}  // namespace stablelm
