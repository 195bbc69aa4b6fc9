#include "ops/probe/machine_probe.h"

#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "ops/cpu/amx.h"
#include "ops/cpu/unroll.h"
#include "ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/probe/machine_probe.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kLine = 64;
constexpr size_t kPiece = 2 * kLine;  // bytes of each stream in turn

template <size_t kStreams, size_t kPrefetchDistance>
uint64_t Read(const std::byte* data, size_t bytes) {
  const hn::ScalableTag<uint64_t> d;
  const size_t lanes = hn::Lanes(d);
  const size_t step = lanes * sizeof(uint64_t);
  // 65 lines more than an equal share: the next set of every cache, and a different page.
  const size_t share = (bytes / kStreams + kPiece - 1) / kPiece * kPiece;
  const size_t stride = kStreams == 1 ? share : share + 65 * kLine;
  auto mix0 = hn::Zero(d);
  auto mix1 = hn::Zero(d);
  for (size_t at = 0; at < share; at += kPiece) {
    for (size_t s = 0; s < kStreams; ++s) {
      const std::byte* from = data + s * stride + at;
      if constexpr (kPrefetchDistance > 0) {
        hwy::Prefetch(from + kPrefetchDistance);
        hwy::Prefetch(from + kPrefetchDistance + kLine);
      }
      for (size_t k = 0; k < kPiece; k += 2 * step) {
        mix0 = hn::Xor(mix0, hn::Load(d, reinterpret_cast<const uint64_t*>(from + k)));
        mix1 = hn::Xor(mix1, hn::Load(d, reinterpret_cast<const uint64_t*>(from + k + step)));
      }
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Xor(mix0, mix1)));
}

template <size_t kStreams>
uint64_t ReadWith(const std::byte* data, size_t bytes, Prefetch prefetch) {
  if (prefetch == Prefetch::kNear) return Read<kStreams, kPrefetchNearBytes>(data, bytes);
  if (prefetch == Prefetch::kFar) return Read<kStreams, kPrefetchFarBytes>(data, bytes);
  return Read<kStreams, 0>(data, bytes);
}

uint64_t ReadTarget(const std::byte* data, size_t bytes, size_t streams, Prefetch prefetch) {
  switch (streams) {
    case 1:
      return ReadWith<1>(data, bytes, prefetch);
    case 2:
      return ReadWith<2>(data, bytes, prefetch);
    case 4:
      return ReadWith<4>(data, bytes, prefetch);
    default:
      return ReadWith<8>(data, bytes, prefetch);
  }
}

// Twelve chains: two units with a latency of four or five cycles need eight to ten, and AVX2 has sixteen registers for
// the chains and the two factors.
ProbeWork MultiplyAddsTarget(size_t rounds) {
  const hn::ScalableTag<float> d;
  // Every chain converges to 1: x = 0.75 x + 0.25 stays a normal number forever.
  const auto factor = hn::Set(d, 0.75f), term = hn::Set(d, 0.25f);
  auto a0 = hn::Set(d, 1.5f), a1 = hn::Set(d, 1.6f), a2 = hn::Set(d, 1.7f), a3 = hn::Set(d, 1.8f);
  auto b0 = hn::Set(d, 2.5f), b1 = hn::Set(d, 2.6f), b2 = hn::Set(d, 2.7f), b3 = hn::Set(d, 2.8f);
  auto c0 = hn::Set(d, 3.5f), c1 = hn::Set(d, 3.6f), c2 = hn::Set(d, 3.7f), c3 = hn::Set(d, 3.8f);
  for (size_t i = 0; i < rounds; ++i) {
    a0 = hn::MulAdd(a0, factor, term);
    a1 = hn::MulAdd(a1, factor, term);
    a2 = hn::MulAdd(a2, factor, term);
    a3 = hn::MulAdd(a3, factor, term);
    b0 = hn::MulAdd(b0, factor, term);
    b1 = hn::MulAdd(b1, factor, term);
    b2 = hn::MulAdd(b2, factor, term);
    b3 = hn::MulAdd(b3, factor, term);
    c0 = hn::MulAdd(c0, factor, term);
    c1 = hn::MulAdd(c1, factor, term);
    c2 = hn::MulAdd(c2, factor, term);
    c3 = hn::MulAdd(c3, factor, term);
  }
  const auto a = hn::Add(hn::Add(a0, a1), hn::Add(a2, a3));
  const auto b = hn::Add(hn::Add(b0, b1), hn::Add(b2, b3));
  const auto c = hn::Add(hn::Add(c0, c1), hn::Add(c2, c3));
  ProbeWork work;
  work.operations = static_cast<double>(rounds) * 12 * 2 * static_cast<double>(hn::Lanes(d));
  work.mix = hn::GetLane(hn::SumOfLanes(d, hn::Add(a, hn::Add(b, c))));
  return work;
}

#if HWY_TARGET <= HWY_AVX2
// The sums wrap around, which does not matter here.
ProbeWork ByteProductsTarget(size_t rounds, bool dots) {
  constexpr size_t kChains = 10;
#if HWY_TARGET <= HWY_AVX3
  using V = __m512i;
  const auto start = [](char byte) HWY_ATTR { return _mm512_set1_epi8(byte); };
  const auto both = [](V a, V b) HWY_ATTR { return _mm512_xor_si512(a, b); };
  const V ones = start(1);
  const auto add_pairs = [&](V sum, V w) HWY_ATTR { return _mm512_add_epi16(sum, _mm512_maddubs_epi16(w, ones)); };
#define STABLELM_DOTS "vpdpbusd %2, %1, %0"
#else
  using V = __m256i;
  const auto start = [](char byte) HWY_ATTR { return _mm256_set1_epi8(byte); };
  const auto both = [](V a, V b) HWY_ATTR { return _mm256_xor_si256(a, b); };
  const V ones = start(1);
  const auto add_pairs = [&](V sum, V w) HWY_ATTR { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, ones)); };
#define STABLELM_DOTS "%{vex%} vpdpbusd %2, %1, %0"
#endif
  V sums[kChains];
  STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) sums[c] = start(static_cast<char>(c + 1));
  V word = sums[3];
  for (size_t i = 0; i < rounds; ++i) {
    // Hides from the compiler that the word stays the same, so that it does not share a product between chains or
    // rounds.
    asm volatile("" : "+x"(word));
    if (dots) {
      STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
        asm volatile(STABLELM_DOTS : "+x"(sums[c]) : "x"(word), "x"(ones));
      }
      continue;
    }
    STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
      sums[c] = add_pairs(sums[c], word);
      asm volatile("" : "+x"(sums[c]), "+x"(word));
    }
  }
#undef STABLELM_DOTS
  ProbeWork work;
  work.operations = static_cast<double>(rounds) * kChains * 2 * sizeof(V);
  V mix = sums[0];
  STABLELM_UNROLL for (size_t c = 1; c < kChains; ++c) mix = both(mix, sums[c]);
  unsigned char first = 0;
  std::memcpy(&first, &mix, 1);
  work.mix = static_cast<float>(first);
  return work;
}
#elif HWY_TARGET == HWY_NEON
ProbeWork ByteProductsTarget(size_t rounds, [[maybe_unused]] bool dots) {
  constexpr size_t kChains = 10;
  const int8x16_t ones = vdupq_n_s8(1);
  int32x4_t sums[kChains];
  int16x8_t low[kChains], high[kChains];
  STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
    sums[c] = vdupq_n_s32(static_cast<int32_t>(c + 1));
    low[c] = high[c] = vreinterpretq_s16_s32(sums[c]);
  }
  int8x16_t word = vdupq_n_s8(4);
  for (size_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+w"(word));
#if HWY_COMPILER_GCC_ACTUAL || defined(__ARM_FEATURE_DOTPROD)
    if (dots) {
      STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
        asm volatile(
#if HWY_COMPILER_GCC_ACTUAL
            ".arch armv8.2-a+crypto+dotprod\n\t"
#endif
            "sdot %0.4s, %1.16b, %2.16b"
            : "+w"(sums[c])
            : "w"(word), "w"(ones));
      }
      continue;
    }
#endif
    STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
      low[c] = vmlal_s8(low[c], vget_low_s8(word), vget_low_s8(ones));
      high[c] = vmlal_high_s8(high[c], word, ones);
      asm volatile("" : "+w"(low[c]), "+w"(high[c]));
    }
  }
  ProbeWork work;
  work.operations = static_cast<double>(rounds) * kChains * 2 * sizeof(int8x16_t);
  int32x4_t mix = sums[0];
  STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) {
    mix = veorq_s32(mix, veorq_s32(sums[c], vreinterpretq_s32_s16(veorq_s16(low[c], high[c]))));
  }
  work.mix = static_cast<float>(vgetq_lane_s32(mix, 0) & 0xFF);
  return work;
}
#else
ProbeWork ByteProductsTarget(size_t, bool) { return {}; }
#endif

#if HWY_TARGET <= HWY_AVX3
// All sums and products stay zero: the number of operations is the same, and no operand is denormal or infinite.
ProbeWork Bf16ProductsTarget(size_t rounds) {
  constexpr size_t kChains = 12;
  __m512 sums[kChains];
  STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) sums[c] = _mm512_setzero_ps();
  const __m512 word = _mm512_setzero_ps();
  for (size_t i = 0; i < rounds; ++i) {
    STABLELM_UNROLL for (size_t c = 0; c < kChains;
                         ++c) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sums[c]) : "v"(word));
  }
  ProbeWork work;
  work.operations = static_cast<double>(rounds) * kChains * 2 * sizeof(__m512) / sizeof(BF16);
  STABLELM_UNROLL for (size_t c = 0; c < kChains; ++c) work.mix += _mm512_cvtss_f32(sums[c]);
  return work;
}
#else
ProbeWork Bf16ProductsTarget(size_t) { return {}; }
#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(ReadTarget);
HWY_EXPORT(MultiplyAddsTarget);
HWY_EXPORT(ByteProductsTarget);
HWY_EXPORT(Bf16ProductsTarget);

// Four tiles of sums, two of each factor, all zero. `bytes`: byte products, else bf16.
ProbeWork TileProducts([[maybe_unused]] size_t rounds, [[maybe_unused]] bool bytes) {
  ProbeWork work;
#if defined(__x86_64__)
  TileConfig config;
  for (size_t t = 0; t < 8; ++t) config.Set(t, kTileHeight, kTileRowBytes);
  const Tiles tiles(config);
  for (size_t i = 0; i < rounds; ++i) {
    if (bytes) {
      Tiles::AddBytes<0, 4, 6>(), Tiles::AddBytes<1, 4, 7>(), Tiles::AddBytes<2, 5, 6>(), Tiles::AddBytes<3, 5, 7>();
    } else {
      Tiles::AddBf16<0, 4, 6>(), Tiles::AddBf16<1, 4, 7>(), Tiles::AddBf16<2, 5, 6>(), Tiles::AddBf16<3, 5, 7>();
    }
  }
  work.operations = static_cast<double>(rounds) * 4 * 2 * kTileHeight * kTileHeight * (bytes ? 64 : 32);
#endif
  return work;
}
}  // namespace

uint64_t ReadStreams(const std::byte* data, size_t bytes, size_t streams, Prefetch prefetch) {
  STABLELM_CHECK(streams == 1 || streams == 2 || streams == 4 || streams == 8);
  return HWY_DYNAMIC_DISPATCH(ReadTarget)(data, bytes, streams, prefetch);
}

ProbeWork RunMultiplyAdds(size_t rounds) { return HWY_DYNAMIC_DISPATCH(MultiplyAddsTarget)(rounds); }

ProbeWork RunByteProducts(size_t rounds) {
  if (TilesInUse()) return TileProducts(rounds, true);
  return HWY_DYNAMIC_DISPATCH(ByteProductsTarget)(rounds, ByteDotsInUse());
}

ProbeWork RunBf16Products(size_t rounds) {
  if (TilesInUse()) return TileProducts(rounds, false);
  return Bf16InUse() ? HWY_DYNAMIC_DISPATCH(Bf16ProductsTarget)(rounds) : ProbeWork{};
}

}  // namespace stablelm
#endif  // HWY_ONCE
