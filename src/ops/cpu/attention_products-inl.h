// The two products of attention with one head's page: queries with keys, weights with values. Included once per SIMD
// target.
//
// A page is read once for a block of N queries, whose sums fill the registers. A small block has registers to spare: it
// processes several pages at the same time, or more dimensions of fp32 and fp16 values. The chains hide each other's
// latency, and memory is read in several streams.
//
// fp32 and fp16 are multiplied as floats. 8-bit integers are multiplied as integers, by queries and weights rounded to
// 16-bit integers (ops/attention.h): two products per addition, and no conversions. The integers of a query or of
// weights replace the floats in place, four in 16 bytes; the first two words of the 16 bytes are the operands for a
// word of four stored bytes:
//   kPairs           integers 0 and 2, integers 1 and 3, in 16 bits each
//   kDot and kPlain  the high bytes h of the four, the low bytes l: 256 h + l with -128 <= l < 128
#if defined(STABLELM_OPS_ATTENTION_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_ATTENTION_PRODUCTS_INL_H_
#undef STABLELM_OPS_ATTENTION_PRODUCTS_INL_H_
#else
#define STABLELM_OPS_ATTENTION_PRODUCTS_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "ops/attention.h"
#include "ops/cpu/load_float-inl.h"
#include "ops/cpu/quant_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

constexpr size_t kChunk = static_cast<size_t>(kAttentionChunk);
constexpr size_t kPage = static_cast<size_t>(kKvPageTokens);
constexpr size_t kPageVectors = kPage / kLanes;
constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON;  // 32 registers, not 16
// Queries in the largest block.
constexpr size_t kBlock = kManyRegisters ? 8 : 4;

// Keys or values of one head in a page, and the scales of 8-bit ones.
struct HeadPage {
  const std::byte* elements = nullptr;
  const float* scales = nullptr;
  const std::byte* ahead = nullptr;  // elements to prefetch while these are processed
};

// Prefetches kBytes from an aligned address into the L1 cache. Small blocks of queries, which are limited by memory,
// spread the calls over their loops.
template <size_t kBytes>
HWY_INLINE void PrefetchLines(const std::byte* p) {
  for (size_t line = 0; line < kBytes; line += 64) hwy::Prefetch(p + line);
}

// Scale and offset of values rounded to integers: each is about integer * scale.
struct Integers {
  float scale;
  int32_t offset;  // excess of the dot product with stored bytes q + 128: 128 times the sum of the integers
};

// Calls body.operator()<P>(p) for groups of P pages that cover [0, count): kMost pages at a time, then one at a time.
template <size_t kMost, typename Body>
HWY_INLINE void ForPages(size_t count, const Body& body) {
  size_t p = 0;
  for (; p + kMost <= count; p += kMost) body.template operator()<kMost>(p);
  if constexpr (kMost > 1) {
    for (; p < count; ++p) body.template operator()<1>(p);
  }
}

// Keys and values of type float or F16.
template <typename T>
struct FloatPages {
  using Element = T;
  static constexpr bool kScaled = false;

  // KeyVectors: vectors of keys for which each of N queries holds sums at a time. ParallelPages: pages that they come
  // from. Enough chains to hide the latency of two multiply-adds a cycle, few enough for 16 registers; large blocks
  // need 32.
  static constexpr size_t kSums = 8;
  static constexpr size_t KeyVectors(size_t n) {
    return std::clamp<size_t>((n > 4 ? 2 : 1) * kSums / n, 1, kPageVectors);
  }
  static constexpr size_t ParallelPages(size_t n) { return std::max<size_t>(1, kSums / (n * kPageVectors)); }

  // scores[q][p][j] = dot(queries[q], key j of page p) for all kPage slots of P pages; slots without a key give garbage
  // that is masked later. The scores of the pages are adjacent.
  template <size_t N, size_t P>
  static HWY_INLINE void Scores(const float* HWY_RESTRICT queries, const Integers*, size_t dims,
                                const HeadPage* HWY_RESTRICT pages, float* HWY_RESTRICT scores) {
    const DF d;
    constexpr size_t kVectors = KeyVectors(N);
    for (size_t j = 0; j < kPage; j += kVectors * kLanes) {
      VF acc[P][N][kVectors];
      for (size_t p = 0; p < P; ++p) {
        for (size_t q = 0; q < N; ++q) {
          for (size_t v = 0; v < kVectors; ++v) acc[p][q][v] = hn::Zero(d);
        }
      }
      for (size_t i = 0; i < dims; i += 2) {
        for (size_t p = 0; p < P; ++p) {
          if constexpr (N <= 2) PrefetchLines<2 * kPage * sizeof(T)>(pages[p].ahead + i * kPage * sizeof(T));
          for (size_t two = i; two < i + 2; ++two) {
            VF k[kVectors];
            for (size_t v = 0; v < kVectors; ++v) {
              k[v] = LoadFloats<T>(d, pages[p].elements + (two * kPage + j + v * kLanes) * sizeof(T));
            }
            for (size_t q = 0; q < N; ++q) {
              const VF x = hn::Set(d, queries[q * dims + two]);
              for (size_t v = 0; v < kVectors; ++v) acc[p][q][v] = hn::MulAdd(x, k[v], acc[p][q][v]);
            }
          }
        }
      }
      for (size_t p = 0; p < P; ++p) {
        for (size_t v = 0; v < kVectors; ++v) {
          for (size_t q = 0; q < N; ++q) {
            hn::StoreU(acc[p][q][v], d, scores + q * kChunk + p * kPage + j + v * kLanes);
          }
        }
      }
    }
  }

  // out[q] += weights[q][p] times the values of page p, for the pages' first `count` values.
  template <size_t N>
  static HWY_INLINE void AddValues(const float* HWY_RESTRICT weights, const Integers*, size_t,
                                   const HeadPage* HWY_RESTRICT pages, size_t count, size_t dims,
                                   float* HWY_RESTRICT out) {
    constexpr size_t kVectors = (N > 4 ? 2 : 1) * kSums / N;
    for (size_t begin = 0; begin < count; begin += kPage) {
      const HeadPage& page = pages[begin / kPage];
      const size_t n = std::min(kPage, count - begin);
      size_t i = 0;
      for (; i + kVectors * kLanes <= dims; i += kVectors * kLanes) {
        AddDims<N, kVectors>(weights + begin, page, n, i, dims, out);
      }
      for (; i < dims; i += kLanes) AddDims<N, 1>(weights + begin, page, n, i, dims, out);
    }
  }

 private:
  // The same for kVectors vectors of dimensions, starting at dimension i.
  template <size_t N, size_t kVectors>
  static HWY_INLINE void AddDims(const float* HWY_RESTRICT weights, const HeadPage& values, size_t count, size_t i,
                                 size_t dims, float* HWY_RESTRICT out) {
    const DF d;
    VF acc[N][kVectors];
    for (size_t q = 0; q < N; ++q) {
      for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::LoadU(d, out + q * dims + i + v * kLanes);
    }
    for (size_t j = 0; j < count; ++j) {
      VF value[kVectors];
      if constexpr (N <= 2) PrefetchLines<kVectors * kLanes * sizeof(T)>(values.ahead + (j * dims + i) * sizeof(T));
      for (size_t v = 0; v < kVectors; ++v) {
        value[v] = LoadFloats<T>(d, values.elements + (j * dims + i + v * kLanes) * sizeof(T));
      }
      for (size_t q = 0; q < N; ++q) {
        const VF w = hn::Set(d, weights[q * kChunk + j]);
        for (size_t v = 0; v < kVectors; ++v) acc[q][v] = hn::MulAdd(w, value[v], acc[q][v]);
      }
    }
    for (size_t q = 0; q < N; ++q) {
      for (size_t v = 0; v < kVectors; ++v) hn::StoreU(acc[q][v], d, out + q * dims + i + v * kLanes);
    }
  }
};

// Bytes 1 and 3 of each word, as its 16-bit halves.
HWY_INLINE VI OddBytes(VI words) {
#if STABLELM_HAS_PAIRS
  return hn::BitCast(DI(), hn::ShiftRight<8>(hn::BitCast(hn::RebindToUnsigned<D16>(), words)));
#else
  return hn::And(hn::ShiftRight<8>(words), hn::Set(DI(), 0x00FF00FF));
#endif
}

// Keys and values of 8-bit integers.
template <QuantMultiply kWay>
struct BytePages {
  using Element = int8_t;
  static constexpr bool kScaled = true;

  // kSums: sums held in registers, with kPairs one register each, else two. Vectors: vectors of a line (16 tokens or
  // dimensions) for which each of N queries holds sums at a time. ParallelPages: pages that are read at the same time.
  static constexpr size_t kSums = kWay == QuantMultiply::kPairs || kManyRegisters ? 8 : 4;
  static constexpr size_t kLineVectors = 16 / kLanes;
  static constexpr size_t Vectors(size_t n) { return std::clamp<size_t>(kSums / n, 1, kLineVectors); }
  static constexpr size_t ParallelPages(size_t n) { return std::max<size_t>(1, kSums / (n * kLineVectors)); }

  // Rounds x [n], n a multiple of 16, in place to integers of up to `levels` times the returned scale. NaN and infinity
  // make the scale NaN.
  static HWY_INLINE Integers Round(float* HWY_RESTRICT x, size_t n, int32_t levels) {
    const DF d;
    const DI di;
    // Magnitudes compare as their bits do; NaN and infinity are the largest.
    VI largest_v = hn::Zero(di);
    for (size_t i = 0; i < n; i += kLanes) {
      largest_v = hn::Max(largest_v, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
    }
    const float largest = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(di, largest_v)));
    const bool finite = std::isfinite(largest);
    if (!finite || largest < std::numeric_limits<float>::min()) {
      std::fill(x, x + n, 0.0f);
      return {.scale = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN(), .offset = 0};
    }
    const float most = static_cast<float>(levels);
    const VF inverse = hn::Set(d, 1 / largest), most_v = hn::Set(d, most);
    VI sum = hn::Zero(di);
    for (size_t i = 0; i < n; i += kLanes) {
      const VI q = hn::NearestInt(hn::Mul(hn::Mul(hn::LoadU(d, x + i), inverse), most_v));
      sum = hn::Add(sum, q);
      hn::StoreU(Arranged(q), di, reinterpret_cast<int32_t*>(x + i));
    }
    if constexpr (kLanes < 4) ArrangeInMemory(x, n);
    return {.scale = largest / most, .offset = kSignedWords<kWay> ? 0 : 128 * hn::GetLane(hn::SumOfLanes(di, sum))};
  }

  // As FloatPages::Scores: integer dot products, times the scales of key and query.
  template <size_t N, size_t P>
  static HWY_INLINE void Scores(const float* HWY_RESTRICT queries, const Integers* HWY_RESTRICT integers, size_t dims,
                                const HeadPage* HWY_RESTRICT pages, float* HWY_RESTRICT scores) {
    const DF d;
    constexpr size_t kVectors = Vectors(N);
    for (size_t j = 0; j < kPage; j += kVectors * kLanes) {
      VI sums[P][N][kVectors][kParts];
      SumLines(pages, j, dims, queries, 0, dims, sums);
      Unroll<P>([&](auto p) STABLELM_INLINE_LAMBDA {
        Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
          const size_t slot = j + v * kLanes;
          const VF key_scale = hn::LoadU(d, pages[p].scales + slot);
          Unroll<N>([&](auto q) STABLELM_INLINE_LAMBDA {
            const VF dot = AsFloats(sums[p][q][v], integers[q].offset);
            hn::StoreU(hn::Mul(dot, hn::Mul(key_scale, hn::Set(d, integers[q].scale))), d,
                       scores + q * kChunk + p * kPage + slot);
          });
        });
      });
    }
  }

  // As FloatPages::AddValues. The weights include the scales of the values and are zero where there is no value.
  // integers[p * stride + q] describes the weights of query q in page p.
  template <size_t N>
  static HWY_INLINE void AddValues(const float* HWY_RESTRICT weights, const Integers* HWY_RESTRICT integers,
                                   size_t stride, const HeadPage* HWY_RESTRICT pages, size_t count, size_t dims,
                                   float* HWY_RESTRICT out) {
    ForPages<ParallelPages(N)>((count + kPage - 1) / kPage, [&]<size_t P>(size_t p) HWY_ATTR {
      AddPages<N, P>(weights + p * kPage, integers + p * stride, stride, pages + p, dims, out);
    });
  }

 private:
  template <size_t N, size_t P>
  static HWY_INLINE void AddPages(const float* HWY_RESTRICT weights, const Integers* HWY_RESTRICT integers,
                                  size_t stride, const HeadPage* HWY_RESTRICT pages, size_t dims,
                                  float* HWY_RESTRICT out) {
    const DF d;
    constexpr size_t kVectors = Vectors(N);
    for (size_t i = 0; i < dims; i += kVectors * kLanes) {
      VI sums[P][N][kVectors][kParts];
      SumLines(pages, i, kPage, weights, kPage, kChunk, sums);
      Unroll<N>([&](auto q) STABLELM_INLINE_LAMBDA {
        Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
          float* const to = out + q * dims + i + v * kLanes;
          VF sum = hn::LoadU(d, to);
          Unroll<P>([&](auto p) STABLELM_INLINE_LAMBDA {
            const Integers& of_page = integers[p * stride + q];
            sum = hn::MulAdd(AsFloats(sums[p][q][v], of_page.offset), hn::Set(d, of_page.scale), sum);
          });
          hn::StoreU(sum, d, to);
        });
      });
    }
  }

  // Vectors per sum: one, or one for the high bytes and one for the low bytes.
  static constexpr size_t kParts = kWay == QuantMultiply::kPairs ? 1 : 2;
  static HWY_INLINE VF AsFloats(const VI (&sum)[kParts], int32_t offset) {
    // Intermediate results may wrap around; the final one does not.
    VI whole = sum[0];
    if constexpr (kParts == 2) whole = hn::Add(hn::ShiftLeft<8>(whole), sum[1]);
    return hn::ConvertTo(DF(), hn::Sub(whole, hn::Set(DI(), offset)));
  }

  // sums[p][q][v] = sum over n elements of page p, each times its integer at x + p * of_page + q * of_query. The
  // elements are kVectors vectors of words, starting at word `across` (lines as in KvLayout).
  template <size_t P, size_t N, size_t kVectors>
  static HWY_INLINE void SumLines(const HeadPage* HWY_RESTRICT pages, size_t across, size_t n,
                                  const float* HWY_RESTRICT x, size_t of_page, size_t of_query,
                                  VI (&sums)[P][N][kVectors][kParts]) {
    Unroll<P * N * kVectors>([&](auto i) STABLELM_INLINE_LAMBDA {
      for (VI& part : sums[i / kVectors / N][i / kVectors % N][i % kVectors]) part = hn::Zero(DI());
    });
    for (size_t along = 0; along < n; along += 4) {
      const size_t at = across / 16 * 16 * n + along * 16 + across % 16 * 4;
      Unroll<P>([&](auto p) STABLELM_INLINE_LAMBDA {
        if constexpr (N <= 2) hwy::Prefetch(pages[p].ahead + at);
        AddWords(pages[p].elements + at, x + p * of_page + along, of_query, sums[p]);
      });
    }
  }

  // sums[q][v] += the kVectors vectors of words at `bytes`, times the four integers at x + q * stride.
  template <size_t N, size_t kVectors>
  static HWY_INLINE void AddWords(const std::byte* HWY_RESTRICT bytes, const float* HWY_RESTRICT x, size_t stride,
                                  VI (&sums)[N][kVectors][kParts]) {
    const DI d;
    const VI low_bytes = hn::Set(d, 0x00FF00FF);
    VI even[kVectors], odd[kVectors];
    Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
      const VI words = hn::LoadU(d, reinterpret_cast<const int32_t*>(bytes) + v * kLanes);
      if constexpr (kWay == QuantMultiply::kPairs) {
        even[v] = hn::And(words, low_bytes);
        odd[v] = OddBytes(words);
      } else {
        even[v] = kSignedWords<kWay> ? hn::Xor(words, hn::Set(d, static_cast<int32_t>(0x80808080u))) : words;
      }
    });
    Unroll<N>([&](auto q) STABLELM_INLINE_LAMBDA {
      const int32_t* const record = reinterpret_cast<const int32_t*>(x + q * stride);
      const VI first = hn::Set(d, record[0]), second = hn::Set(d, record[1]);
      Unroll<kVectors>([&](auto v) STABLELM_INLINE_LAMBDA {
        VI(&sum)[kParts] = sums[q][v];
        if constexpr (kWay == QuantMultiply::kPairs) {
          sum[0] = AddScaled<kWay>(sum[0], first, even[v]);
          sum[0] = AddScaled<kWay>(sum[0], second, odd[v]);
          KeepOrder(sum[0]);
        } else {
          AddWord<kWay>(sum[0], even[v], first);
          AddWord<kWay>(sum[1], even[v], second);
        }
      });
    });
  }

  // Arranges integers, in groups of four, as the operands for a word of stored bytes (top of this file). A vector of
  // fewer than four is unchanged.
  static HWY_INLINE VI Arranged(VI q) {
#if HWY_TARGET != HWY_SCALAR
    constexpr bool kPairs = kWay == QuantMultiply::kPairs;
    const DI d;
    const hn::Repartition<uint8_t, DI> d8;
    // For h and l: adding 128 makes the second byte h; the xor restores the sign bit of the first, which leaves l.
    if constexpr (!kPairs) q = hn::Xor(hn::Add(q, hn::Set(d, 128)), hn::Set(d, 128));
    alignas(16) static constexpr std::array<uint8_t, 16> kFrom =
        kPairs ? std::array<uint8_t, 16>{0, 1, 8, 9, 4, 5, 12, 13} : std::array<uint8_t, 16>{1, 5, 9, 13, 0, 4, 8, 12};
    q = hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(d8, q), hn::LoadDup128(d8, kFrom.data())));
#endif
    return q;
  }
  static void ArrangeInMemory(float* HWY_RESTRICT x, size_t n) {
    static_assert(kLanes >= 4 || kWay == QuantMultiply::kPlain);
    for (size_t i = 0; i < n; i += 4) {
      uint32_t q[4], high = 0, low = 0;
      std::memcpy(q, x + i, sizeof(q));
      for (int j = 0; j < 4; ++j) {
        const uint32_t bits = (q[j] + 128) ^ 128;
        high |= (bits >> 8 & 0xFF) << 8 * j;
        low |= (bits & 0xFF) << 8 * j;
      }
      const uint32_t record[] = {high, low};
      std::memcpy(x + i, record, sizeof(record));
    }
  }
};

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
