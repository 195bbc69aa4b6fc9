#include "ops/random/random_normal.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>

#include "ops/op_testing.h"

namespace stablelm {
namespace {

double NormalCdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

// The same bits as the reference on every target, for lengths around the block, any address, counters that cross 2^32,
// nothing written outside.
TEST(FillNormal, SameBitsAsTheReferenceOnEveryTarget) {
  ForEachSimdTarget([] {
    for (const size_t n : std::initializer_list<size_t>{0, 1, 3, 15, 16, 17, 63, 64, 65, 127, 128, 1000, 4096}) {
      for (const size_t offset : std::initializer_list<size_t>{0, 1, 3}) {
        for (const uint64_t block : {uint64_t{0}, uint64_t{7}, (uint64_t{1} << 28) - 1, (uint64_t{1} << 60) - 3}) {
          const uint64_t key = 0x1234567890ABCDEF + n, stream = 0xFEDC00000003 + offset;
          std::vector<float> expected(n);
          FillNormalRef(key, stream, block, 0.01f, expected.data(), n);
          GuardedFloats got(n + offset);
          FillNormal(key, stream, block, 0.01f, got.data() + offset, n);
          got.Check();
          for (size_t i = 0; i < n; ++i) {
            ASSERT_EQ(std::bit_cast<uint32_t>(got.data()[offset + i]), std::bit_cast<uint32_t>(expected[i]))
                << "n " << n << ", block " << block << ", i " << i;
          }
        }
      }
    }
  });
}

// Pinned bits: every later version can reproduce files made today. (Computed once by the reference.)
TEST(FillNormal, PinnedValues) {
  float got[4];
  FillNormalRef(42, 7, 3, 1.0f, got, 4);
  const uint32_t expected[4] = {1059872861u, 1073788644u, 3202692743u, 1051182038u};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(std::bit_cast<uint32_t>(got[i]), expected[i]) << i << " " << got[i];
}

TEST(FillNormal, AnySplitGivesTheSameNumbers) {
  std::vector<float> whole(64 * 100), parts(64 * 100);
  FillNormal(1, 2, 0, 1.0f, whole.data(), whole.size());
  for (size_t block = 0; block < 100; block += 7) {
    const size_t n = std::min<size_t>(7, 100 - block) * 64;
    FillNormal(1, 2, block, 1.0f, parts.data() + block * 64, n);
  }
  EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * 4), 0);
}

// The polynomials against the C library in double. Radius: a few roundings, amplified by the root near u = 1, where ln
// u is small but exact to rounding: 4e-7 relative. Angle: sine and cosine within 2e-7 absolute.
TEST(NormalPair, IsBoxMuller) {
  const Philox philox(99);
  for (size_t i = 0; i < 200000; ++i) {
    const auto words = philox.Block(0, i);
    const uint32_t w = i < 1000 ? static_cast<uint32_t>(i << 8) : i < 2000 ? ~static_cast<uint32_t>(i << 8) : words[0];
    const auto pair = NormalPairRef(w, words[1], 1.0f);
    const double u = std::min((static_cast<double>(w >> 8) + 0.5) * 0x1p-24, 1.0);
    const double radius = std::sqrt(-2 * std::log(static_cast<double>(static_cast<float>(u))));
    const double angle =
        (static_cast<double>(static_cast<int32_t>(words[1]) >> 8) + 0.5) * 0x1p-23 * std::numbers::pi / 4;
    double c = std::cos(angle), s = std::sin(angle);
    if (words[1] & 2) c = -c;
    if (words[1] & 1) std::swap(c, s);
    ASSERT_TRUE(Near(pair[0], radius * c, 6e-7 * radius)) << i << " " << w << " " << pair[0] << " " << radius * c;
    ASSERT_TRUE(Near(pair[1], radius * s, 6e-7 * radius)) << i << " " << w << " " << pair[1] << " " << radius * s;
  }
}

// Every one of the 2^24 radii is a number (no root of a negative logarithm), and they fall as u grows.
TEST(NormalPair, RadiusIsFiniteAndMonotone) {
  float last = 100;
  for (uint32_t top = 0; top < (1u << 24); ++top) {
    const auto pair = NormalPairRef(top << 8, 0, 1.0f);  // angle nearly 0: the first is the radius
    ASSERT_TRUE(pair[0] >= 0 && pair[0] <= last + 1e-6f && pair[0] < 5.9f) << top << " " << pair[0];
    last = pair[0];
  }
}

// N samples of one stream against the normal distribution. Thresholds at 4.5 to 5 standard errors of a fixed seed: this
// fails only after a change, never by chance.
TEST(FillNormal, Distribution) {
  constexpr size_t kN = 1 << 22;
  std::vector<float> x(kN);
  FillNormal(2024, 5, 0, 1.0f, x.data(), kN);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, far = 0;
  for (size_t i = 0; i < kN; ++i) {
    const double v = x[i];
    m1 += v;
    m2 += v * v;
    m3 += v * v * v;
    m4 += v * v * v * v;
    neighbours += v * x[(i + 1) % kN];
    far += v * x[(i + 16) % kN];  // for half of them, the other sample of the same pair
  }
  const double root = std::sqrt(static_cast<double>(kN)), n = static_cast<double>(kN);
  EXPECT_TRUE(Near(m1 / n, 0, 5 / root)) << m1 / n;
  EXPECT_TRUE(Near(m2 / n, 1, 5 * std::sqrt(2.0) / root)) << m2 / n;
  EXPECT_TRUE(Near(m3 / n, 0, 5 * std::sqrt(15.0) / root)) << m3 / n;
  EXPECT_TRUE(Near(m4 / n, 3, 5 * std::sqrt(96.0) / root)) << m4 / n;
  EXPECT_TRUE(Near(neighbours / n, 0, 5 / root)) << neighbours / n;
  EXPECT_TRUE(Near(far / n, 0, 5 / root)) << far / n;

  // Chi-square over 256 bins of equal probability: mean 255, standard deviation sqrt(510) = 22.6.
  std::vector<double> bins(256);
  for (const float v : x) bins[std::min<size_t>(255, static_cast<size_t>(NormalCdf(v) * 256))] += 1;
  double chi = 0;
  for (const double count : bins) chi += (count - n / 256) * (count - n / 256) / (n / 256);
  EXPECT_TRUE(Near(chi, 255, 4.5 * 22.6)) << chi;

  // Kolmogorov-Smirnov: sqrt(N) D exceeds 2.0 once in 1,500 samples.
  std::sort(x.begin(), x.end());
  double d = 0;
  for (size_t i = 0; i < kN; ++i) {
    const double cdf = NormalCdf(x[i]), rank = static_cast<double>(i);
    d = std::max({d, cdf - rank / n, (rank + 1) / n - cdf});
  }
  EXPECT_TRUE(root * d < 2.0) << root * d;
  // The tails exist: about 2 * 4.2e6 * 2.9e-7 = 2.4 samples beyond 5 are expected, and 266 beyond 4.
  const auto beyond4 = std::count_if(x.begin(), x.end(), [](float v) { return std::abs(v) > 4; });
  EXPECT_TRUE(Near(static_cast<double>(beyond4), 265.7, 5 * 16.3)) << beyond4;
}

TEST(FillNormal, KeysAndStreamsAreIndependent) {
  constexpr size_t kN = 1 << 16;
  std::vector<float> a(kN), b(kN);
  const auto correlation = [&](uint64_t key, uint64_t stream) {
    FillNormal(1, 1, 0, 1.0f, a.data(), kN);
    FillNormal(key, stream, 0, 1.0f, b.data(), kN);
    double sum = 0;
    for (size_t i = 0; i < kN; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum / static_cast<double>(kN);
  };
  EXPECT_TRUE(Near(correlation(1, 1), 1, 0.03));
  for (const auto& [key, stream] :
       {std::pair<uint64_t, uint64_t>{2, 1}, {1, 2}, {1, 1ull << 32}, {1ull << 32 | 1, 1}}) {
    EXPECT_TRUE(Near(correlation(key, stream), 0, 5.0 / 256)) << key << " " << stream;
  }
}

}  // namespace
}  // namespace stablelm
