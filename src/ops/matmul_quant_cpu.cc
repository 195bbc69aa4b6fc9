// Products of 8-bit rows with quantized weights: exact integer sums inside a block, one fp32 fold for each block.
//
// A vector holds words of as many weight rows; a word is four quants of one row, and meets the same four activations of
// a row of x. Three ways to multiply words, which differ in speed alone: VNNI (four products and their sum at once),
// pairs of products in 16 bits that are widened before they can overflow, and plain 32-bit arithmetic.
#include "ops/matmul_quant_cpu.h"

#include <algorithm>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matmul_quant_cpu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "base/error.h"
#include "ops/load_float-inl.h"
#include "ops/quant/blocks.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

#if HWY_COMPILER_CLANG
#define STABLELM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define STABLELM_UNROLL _Pragma("GCC unroll 32")
#endif

constexpr size_t kLanes = hn::MaxLanes(DF());
static_assert(kPanelRows % kLanes == 0);
// Rows of x in a tile, at most, and at least when more than kMaxQuantStreamedRows are cut into tiles of nearly equal
// height.
#if HWY_TARGET <= HWY_AVX3
constexpr size_t kTileRows = 8, kMinTileRows = 3;
#elif HWY_TARGET == HWY_AVX2
constexpr size_t kTileRows = 4, kMinTileRows = 2;
#else
constexpr size_t kTileRows = 2, kMinTileRows = 1;
#endif

// One row of x in one block.
struct XBlock {
  const int32_t* words;  // of four quants
  const int32_t* sums;   // of kSumElements quants each
  float scale;
};

// ------------------------------------------------------------------------------------------- words times words

// sum[m] += the products of words(i), four unsigned quants in each lane, with word i of x[m], i < kWords. `kMaxAdds`:
// how many words can be added up in 16 bits: 2 * 127 * (largest quant) * kMaxAdds <= 32,767.
template <bool kVnni, size_t kWords, size_t kMaxAdds, size_t MR, class Words>
HWY_INLINE void AddUnsigned(const Words& words, const XBlock (&x)[MR], size_t first, VI (&sum)[MR]) {
  const DI d;
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kVnni) {
    // In assembly, because Highway has no target that promises VNNI without more; the caller has asked the machine.
    STABLELM_UNROLL for (size_t i = 0; i < kWords; ++i) {
      const VI w = words(i);
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum[m].raw) : "v"(w.raw), "m"(x[m].words[first + i]));
      }
    }
    return;
  }
#endif
#if HWY_TARGET <= HWY_AVX2
  const VI ones = hn::Set(d, 0x00010001);
  STABLELM_UNROLL for (size_t begin = 0; begin < kWords; begin += kMaxAdds) {
    VI pairs[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) pairs[m] = hn::Zero(d);
    STABLELM_UNROLL for (size_t i = begin; i < std::min(kWords, begin + kMaxAdds); ++i) {
      const VI w = words(i);
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        const VI v = hn::Set(d, x[m].words[first + i]);
#if HWY_TARGET <= HWY_AVX3
        pairs[m].raw = _mm512_add_epi16(pairs[m].raw, _mm512_maddubs_epi16(w.raw, v.raw));
#else
        pairs[m].raw = _mm256_add_epi16(pairs[m].raw, _mm256_maddubs_epi16(w.raw, v.raw));
#endif
      }
    }
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
#if HWY_TARGET <= HWY_AVX3
      sum[m].raw = _mm512_add_epi32(sum[m].raw, _mm512_madd_epi16(pairs[m].raw, ones.raw));
#else
      sum[m].raw = _mm256_add_epi32(sum[m].raw, _mm256_madd_epi16(pairs[m].raw, ones.raw));
#endif
    }
  }
#else
  for (size_t i = 0; i < kWords; ++i) {
    const VI w = words(i);
    for (int byte = 0; byte < 4; ++byte) {
      const VI quant = hn::And(hn::ShiftRightSame(w, 8 * byte), hn::Set(d, 0xFF));
      for (size_t m = 0; m < MR; ++m) {
        const int32_t v = static_cast<int8_t>(static_cast<uint32_t>(x[m].words[first + i]) >> (8 * byte));
        sum[m] = hn::Add(sum[m], hn::Mul(quant, hn::Set(d, v)));
      }
    }
  }
#endif
}

// The same with signed 8-bit quants.
template <bool kVnni, size_t kWords, size_t MR, class Words>
HWY_INLINE void AddSigned(const Words& words, const XBlock (&x)[MR], VI (&sum)[MR]) {
  const DI d;
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kVnni) {
    // w = (w + 128) - 128
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      int32_t all = 0;
      for (size_t i = 0; i < kWords * 4 / kSumElements; ++i) all += x[m].sums[i];
      sum[m] = hn::Add(sum[m], hn::Set(d, -128 * all));
    }
    const VI flip = hn::Set(d, static_cast<int32_t>(0x80808080u));
    AddUnsigned<true, kWords, 1>([&](size_t i) HWY_ATTR { return hn::Xor(words(i), flip); }, x, 0, sum);
    return;
  }
#endif
#if HWY_TARGET <= HWY_AVX2
  // Even and odd bytes apart, as 16-bit numbers.
  STABLELM_UNROLL for (size_t i = 0; i < kWords; ++i) {
    const VI w = words(i);
#if HWY_TARGET <= HWY_AVX3
    const auto even = [](__m512i v) HWY_ATTR { return _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8); };
    const auto odd = [](__m512i v) HWY_ATTR { return _mm512_srai_epi16(v, 8); };
    const auto add = [](__m512i s, __m512i a, __m512i b)
                         HWY_ATTR { return _mm512_add_epi32(s, _mm512_madd_epi16(a, b)); };
#else
    const auto even = [](__m256i v) HWY_ATTR { return _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8); };
    const auto odd = [](__m256i v) HWY_ATTR { return _mm256_srai_epi16(v, 8); };
    const auto add = [](__m256i s, __m256i a, __m256i b)
                         HWY_ATTR { return _mm256_add_epi32(s, _mm256_madd_epi16(a, b)); };
#endif
    const auto w_even = even(w.raw), w_odd = odd(w.raw);
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
      const auto v = hn::Set(d, x[m].words[i]).raw;
      sum[m].raw = add(add(sum[m].raw, w_even, even(v)), w_odd, odd(v));
    }
  }
#else
  for (size_t i = 0; i < kWords; ++i) {
    const VI w = words(i);
    for (int byte = 0; byte < 4; ++byte) {
      const VI quant = hn::ShiftRight<24>(hn::ShiftLeftSame(w, 24 - 8 * byte));
      for (size_t m = 0; m < MR; ++m) {
        const int32_t v = static_cast<int8_t>(static_cast<uint32_t>(x[m].words[i]) >> (8 * byte));
        sum[m] = hn::Add(sum[m], hn::Mul(quant, hn::Set(d, v)));
      }
    }
  }
#endif
}

// ------------------------------------------------------------------------------------------------- packed fields

// Fields of a packed block, for the weight rows from `row` on. `at`: the field's offset in the packed block.
struct Fields {
  const std::byte* block;
  size_t row;

  VF Half(size_t at) const { return LoadFloats<F16>(DF(), block + at + row * 2); }
  // Byte i as int32.
  VI Byte(size_t at, size_t i) const {
    const hn::Rebind<uint8_t, DI> d8;
    return hn::PromoteTo(DI(), hn::LoadU(d8, reinterpret_cast<const uint8_t*>(block + at + i * kPanelRows + row)));
  }
  VI SignedByte(size_t at, size_t i) const {
    const hn::Rebind<int8_t, DI> d8;
    return hn::PromoteTo(DI(), hn::LoadU(d8, reinterpret_cast<const int8_t*>(block + at + i * kPanelRows + row)));
  }
  VI Word(size_t at, size_t i) const {
    return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(block + at + (i * kPanelRows + row) * 4));
  }
};

HWY_INLINE VI LowNibbles(VI w) { return hn::And(w, hn::Set(DI(), 0x0F0F0F0F)); }
HWY_INLINE VI HighNibbles(VI w) { return LowNibbles(hn::ShiftRight<4>(w)); }

// acc = fma(sum, scale * x's scale, acc), the product rounded first.
template <size_t MR>
HWY_INLINE void Fold(const VI (&sum)[MR], VF scale, const XBlock (&x)[MR], VF (&acc)[MR]) {
  const DF d;
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    acc[m] = hn::MulAdd(hn::ConvertTo(d, sum[m]), hn::Mul(scale, hn::Set(d, x[m].scale)), acc[m]);
  }
}

// Each type: adds one block to the sums of the weight rows of one vector.

struct TypeQ8_0 {
  static constexpr DType kType = DType::kQ8_0;
  template <bool kVnni, size_t MR>
  static HWY_INLINE void Block(const Fields& w, const XBlock (&x)[MR], VF (&acc)[MR]) {
    VI sum[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) sum[m] = hn::Zero(DI());
    AddSigned<kVnni, 8>([&](size_t i) HWY_ATTR { return w.Word(64, i); }, x, sum);
    Fold(sum, w.Half(0), x, acc);
  }
};

struct TypeQ4_0 {
  static constexpr DType kType = DType::kQ4_0;
  template <bool kVnni, size_t MR>
  static HWY_INLINE void Block(const Fields& w, const XBlock (&x)[MR], VF (&acc)[MR]) {
    VI sum[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) sum[m] = hn::Set(DI(), -8 * (x[m].sums[0] + x[m].sums[1]));
    AddUnsigned<kVnni, 8, 8>(
        [&](size_t i) HWY_ATTR { return i < 4 ? LowNibbles(w.Word(64, i)) : HighNibbles(w.Word(64, i - 4)); }, x, 0,
        sum);
    Fold(sum, w.Half(0), x, acc);
  }
};

// Q4_K and Q5_K: x = d S n - dmin M, eight sub-blocks of 32.
template <bool kFive>
struct TypeAffine {
  static constexpr DType kType = kFive ? DType::kQ5_K : DType::kQ4_K;
  static constexpr size_t kScales = 4 * kPanelRows, kHigh = kScales + 12 * kPanelRows;
  static constexpr size_t kQuants = kFive ? kHigh + 32 * kPanelRows : kHigh;

  // The 6-bit scales and minimums of all sub-blocks, one vector each.
  static HWY_INLINE void Unpack(const Fields& w, int32_t (&scale)[8][kLanes], int32_t (&minimum)[8][kLanes]) {
    const DI d;
    for (size_t j = 0; j < 4; ++j) {
      const VI s = w.Byte(kScales, j), m = w.Byte(kScales, j + 4), rest = w.Byte(kScales, j + 8);
      const VI six = hn::Set(d, 63);
      hn::Store(hn::And(s, six), d, scale[j]);
      hn::Store(hn::And(m, six), d, minimum[j]);
      hn::Store(hn::Or(hn::And(rest, hn::Set(d, 15)), hn::ShiftLeft<4>(hn::ShiftRight<6>(s))), d, scale[j + 4]);
      hn::Store(hn::Or(hn::ShiftRight<4>(rest), hn::ShiftLeft<4>(hn::ShiftRight<6>(m))), d, minimum[j + 4]);
    }
  }

  // Sub-block j, whose nibbles are the low or the high ones.
  template <bool kVnni, bool kUpper, size_t MR>
  static HWY_INLINE void SubBlock(const Fields& w, size_t j, const int32_t (&scales)[8][kLanes], const XBlock (&x)[MR],
                                  VI (&scaled)[MR]) {
    const DI d;
    VI sum[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) sum[m] = hn::Zero(d);
    const auto words = [&](size_t i) HWY_ATTR {
      const VI both = w.Word(kQuants, j / 2 * 8 + i);
      const VI low = kUpper ? HighNibbles(both) : LowNibbles(both);
      if constexpr (!kFive) return low;
      const VI bit = hn::And(hn::ShiftRightSame(w.Word(kHigh, i), static_cast<int>(j)), hn::Set(d, 0x01010101));
      return hn::Or(low, hn::ShiftLeft<4>(bit));
    };
    AddUnsigned<kVnni, 8, kFive ? 4 : 8>(words, x, 8 * j, sum);
    const VI scale = hn::Load(d, scales[j]);
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) scaled[m] = hn::Add(scaled[m], hn::Mul(scale, sum[m]));
  }

  template <bool kVnni, size_t MR>
  static HWY_INLINE void Block(const Fields& w, const XBlock (&x)[MR], VF (&acc)[MR]) {
    const DI d;
    HWY_ALIGN int32_t scales[8][kLanes], minimums[8][kLanes];
    Unpack(w, scales, minimums);
    VI total[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) total[m] = hn::Zero(d);
    for (size_t j = 0; j < 8; j += 2) {
      SubBlock<kVnni, false>(w, j, scales, x, total);
      SubBlock<kVnni, true>(w, j + 1, scales, x, total);
    }
    Fold(total, w.Half(0), x, acc);
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) total[m] = hn::Zero(d);
    for (size_t j = 0; j < 8; ++j) {
      const VI minimum = hn::Load(d, minimums[j]);
      STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
        total[m] = hn::Sub(total[m], hn::Mul(minimum, hn::Set(d, x[m].sums[2 * j] + x[m].sums[2 * j + 1])));
      }
    }
    Fold(total, w.Half(2 * kPanelRows), x, acc);
  }
};

// x = d scale (n - 32), sixteen sub-blocks of 16.
struct TypeQ6_K {
  static constexpr DType kType = DType::kQ6_K;
  static constexpr size_t kScales = 2 * kPanelRows, kLow = kScales + 16 * kPanelRows, kHigh = kLow + 128 * kPanelRows;

  template <bool kVnni, size_t MR>
  static HWY_INLINE void Block(const Fields& w, const XBlock (&x)[MR], VF (&acc)[MR]) {
    const DI d;
    VI scaled[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) scaled[m] = hn::Zero(d);
    // 32 values with two sub-blocks: part r of half t.
    for (size_t part = 0; part < 8; ++part) {
      const size_t t = part / 4, r = part % 4;
      const int nibble = r < 2 ? 0 : 4, high = static_cast<int>(2 * r);
      for (size_t half = 0; half < 2; ++half) {
        const size_t sub = 2 * part + half;
        VI sum[MR];
        STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) sum[m] = hn::Set(d, -32 * x[m].sums[sub]);
        const auto words = [&](size_t i) HWY_ATTR {
          const VI both = w.Word(kLow, t * 16 + r % 2 * 8 + half * 4 + i);
          const VI low = LowNibbles(hn::ShiftRightSame(both, nibble));
          const VI bits = hn::ShiftRightSame(w.Word(kHigh, t * 8 + half * 4 + i), high);
          return hn::Or(low, hn::ShiftLeft<4>(hn::And(bits, hn::Set(d, 0x03030303))));
        };
        AddUnsigned<kVnni, 4, 2>(words, x, 4 * sub, sum);
        const VI scale = w.SignedByte(kScales, sub);
        STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) scaled[m] = hn::Add(scaled[m], hn::Mul(scale, sum[m]));
      }
    }
    Fold(scaled, w.Half(0), x, acc);
  }
};

// ------------------------------------------------------------------------------------------------------- loops

inline void StoreRow(const QuantJob& job, size_t m, size_t panel, const float* HWY_RESTRICT sums) {
  const size_t n = panel * kPanelRows, n_out = job.w->rows();
  const size_t count = std::min(kPanelRows, n_out - n);
  float* HWY_RESTRICT y = job.y + m * n_out + n;
  if (job.bias) {
    for (size_t i = 0; i < count; ++i) y[i] = sums[i] + job.bias[n + i];
  } else {
    std::memcpy(y, sums, count * sizeof(float));
  }
}

template <size_t MR>
HWY_INLINE void BlocksOf(const QuantJob& job, size_t m0, size_t b, XBlock (&x)[MR]) {
  const QuantizedRows& rows = job.x;
  STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) {
    const size_t at = (m0 + m) * rows.k + b * rows.block;
    x[m] = {reinterpret_cast<const int32_t*>(rows.q + at), rows.sums + at / kSumElements, rows.scale[at / rows.block]};
  }
}

// All rows (MR) with panels [p_begin, p_end) side by side, at most kQuantStreams.
template <class Type, bool kVnni, size_t MR>
HWY_NOINLINE void StreamedPanels(const QuantJob& job, size_t p_begin, size_t p_end) {
  const DF d;
  const size_t bytes = BlockBytes(Type::kType) * kPanelRows;
  HWY_ALIGN float sums[kQuantStreams][MR][kPanelRows] = {};
  for (size_t b = 0; b < job.x.k / job.x.block; ++b) {
    XBlock x[MR];
    BlocksOf(job, 0, b, x);
    for (size_t p = p_begin; p < p_end; ++p) {
      for (size_t row = 0; row < kPanelRows; row += kLanes) {
        float* const at = sums[p - p_begin][0] + row;
        VF acc[MR];
        STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) acc[m] = hn::Load(d, at + m * kPanelRows);
        Type::template Block<kVnni, MR>({job.w->panel(p) + b * bytes, row}, x, acc);
        STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) hn::Store(acc[m], d, at + m * kPanelRows);
      }
    }
  }
  for (size_t p = p_begin; p < p_end; ++p) {
    for (size_t m = 0; m < MR; ++m) StoreRow(job, m, p, sums[p - p_begin][m]);
  }
}

// Rows [m0, m0 + MR) with one panel.
template <class Type, bool kVnni, size_t MR>
HWY_NOINLINE void Tile(const QuantJob& job, size_t m0, size_t panel) {
  const DF d;
  const size_t bytes = BlockBytes(Type::kType) * kPanelRows;
  HWY_ALIGN float sums[MR][kPanelRows];
  for (size_t row = 0; row < kPanelRows; row += kLanes) {
    VF acc[MR];
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) acc[m] = hn::Zero(d);
    for (size_t b = 0; b < job.x.k / job.x.block; ++b) {
      XBlock x[MR];
      BlocksOf(job, m0, b, x);
      Type::template Block<kVnni, MR>({job.w->panel(panel) + b * bytes, row}, x, acc);
    }
    STABLELM_UNROLL for (size_t m = 0; m < MR; ++m) hn::Store(acc[m], d, sums[m] + row);
  }
  for (size_t m = 0; m < MR; ++m) StoreRow(job, m0 + m, panel, sums[m]);
}

using TileBody = void (*)(const QuantJob&, size_t m0, size_t panel);
template <class Type, bool kVnni, size_t... MR>
TileBody TileOfRows(size_t rows, std::index_sequence<MR...>) {
  static constexpr TileBody kBodies[] = {&Tile<Type, kVnni, kMinTileRows + MR>...};
  return kBodies[rows - kMinTileRows];
}

template <class Type, bool kVnni>
void PanelsOfType(const QuantJob& job, size_t p_begin, size_t p_end) {
  if (job.rows <= kMaxQuantStreamedRows) {
    static_assert(kMaxQuantStreamedRows == 2);
    for (size_t p = p_begin; p < p_end; p += kQuantStreams) {
      const size_t end = std::min(p_end, p + kQuantStreams);
      job.rows == 1 ? StreamedPanels<Type, kVnni, 1>(job, p, end) : StreamedPanels<Type, kVnni, 2>(job, p, end);
    }
    return;
  }
  // Tiles of nearly equal height.
  const size_t tiles = (job.rows + kTileRows - 1) / kTileRows;
  for (size_t p = p_begin; p < p_end; ++p) {
    for (size_t t = 0, m = 0; t < tiles; ++t) {
      const size_t rows = (job.rows - m + (tiles - t) - 1) / (tiles - t);
      TileOfRows<Type, kVnni>(rows, std::make_index_sequence<kTileRows - kMinTileRows + 1>())(job, m, p);
      m += rows;
    }
  }
}

template <bool kVnni>
void PanelsWith(const QuantJob& job, size_t p_begin, size_t p_end) {
  switch (job.w->type()) {
    case DType::kQ8_0:
      return PanelsOfType<TypeQ8_0, kVnni>(job, p_begin, p_end);
    case DType::kQ4_0:
      return PanelsOfType<TypeQ4_0, kVnni>(job, p_begin, p_end);
    case DType::kQ4_K:
      return PanelsOfType<TypeAffine<false>, kVnni>(job, p_begin, p_end);
    case DType::kQ5_K:
      return PanelsOfType<TypeAffine<true>, kVnni>(job, p_begin, p_end);
    case DType::kQ6_K:
      return PanelsOfType<TypeQ6_K, kVnni>(job, p_begin, p_end);
    default:
      STABLELM_CHECK(false);
  }
}

void Panels(const QuantJob& job, size_t p_begin, size_t p_end) {
#if HWY_TARGET <= HWY_AVX3
  if (job.vnni) return PanelsWith<true>(job, p_begin, p_end);
#endif
  PanelsWith<false>(job, p_begin, p_end);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(Panels);
}  // namespace

void QuantMatMulPanels(const QuantJob& job, size_t p_begin, size_t p_end) {
  HWY_DYNAMIC_DISPATCH(Panels)(job, p_begin, p_end);
}

}  // namespace stablelm
#endif  // HWY_ONCE
