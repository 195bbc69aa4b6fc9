#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/error.h"
#include "ops/quant/encode_parts.h"
#include "ops/quant/quant_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/quant/encode_row.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Each lane encodes one sub-block exactly as ref/encode_row.cc does, operation by operation: no sums across lanes, no
// MulAdd (it rounds once where the reference rounds twice). So every target gives the same bits.
//
// Sixteen sub-blocks at a time, transposed: two blocks of Q4_K or Q5_K, one of Q6_K, sixteen of Q4_0. Targets with
// fewer lanes process them in several groups.
constexpr size_t kColumns = 16;
using DF = hn::CappedTag<float, kColumns>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;

struct Columns {
  HWY_ALIGN float x[kSmallBlock * kColumns];  // [value in the sub-block][sub-block]
  HWY_ALIGN float w[kSmallBlock * kColumns];
  HWY_ALIGN uint8_t levels[kSmallBlock * kColumns];
};

HWY_INLINE VF Row(const float* p, size_t t) { return hn::Load(DF(), p + t * kColumns); }
HWY_INLINE VF Constant(float value) { return hn::Set(DF(), value); }
HWY_INLINE VF Nearest(VF v) { return hn::Sub(hn::Add(v, Constant(kRounder)), Constant(kRounder)); }
HWY_INLINE VF Clamped(VF v, float low, float high) { return hn::Min(hn::Max(v, Constant(low)), Constant(high)); }
// 1 / v, or 0 where v is 0.
HWY_INLINE VF InverseOrZero(VF v) {
  return hn::IfThenElse(hn::Eq(v, hn::Zero(DF())), hn::Zero(DF()), hn::Div(Constant(1), v));
}
HWY_INLINE void StoreLevels(VF level, uint8_t* to) {
  const hn::Rebind<uint8_t, DF> du8;
  hn::StoreU(hn::DemoteTo(du8, hn::ConvertTo(DI(), level)), du8, to);
}

// Transposes `count` sub-blocks of kDepth values into columns; the other columns are set to `filler` (values 0, weights
// 1).
template <size_t kDepth>
void FillColumns(const float* values, size_t count, float filler, float* columns) {
  for (size_t t = 0; t < kDepth; ++t) {
    for (size_t c = 0; c < count; ++c) columns[t * kColumns + c] = values[c * kDepth + t];
    for (size_t c = count; c < kColumns; ++c) columns[t * kColumns + c] = filler;
  }
}

HWY_INLINE void SearchAffine(const float* x, const float* w, float top, float* scales, float* minimums) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF low = zero, high = Row(x, 0);
  for (size_t t = 0; t < kSmallBlock; ++t) {
    low = hn::Min(Row(x, t), low);
    high = hn::Max(Row(x, t), high);
  }
  const VF range = hn::Sub(high, low);
  HWY_ALIGN float centred[kSmallBlock * kColumns];
  VF sw = zero, sx = zero;
  for (size_t t = 0; t < kSmallBlock; ++t) {
    const VF c = hn::Sub(Row(x, t), low);
    hn::Store(c, d, centred + t * kColumns);
    sw = hn::Add(sw, Row(w, t));
    sx = hn::Add(sx, hn::Mul(Row(w, t), c));
  }
  const VF bound = hn::Neg(low), two = Constant(2);
  VF most = zero, best_scale = zero, best_minimum = bound;
  for (const float cut : kAffineOffsets) {
    for (const float candidate : kAffineCandidates) {
      const VF steps = hn::Div(Constant(top + candidate), range);
      VF sl = zero, sll = zero, slx = zero;
      for (size_t t = 0; t < kSmallBlock; ++t) {
        const VF c = Row(centred, t);
        const VF level = Nearest(Clamped(hn::Sub(hn::Mul(c, steps), Constant(cut)), 0, top));
        const VF wl = hn::Mul(Row(w, t), level);
        sl = hn::Add(sl, wl);
        sll = hn::Add(sll, hn::Mul(wl, level));
        slx = hn::Add(slx, hn::Mul(wl, c));
      }
      const VF determinant = hn::Sub(hn::Mul(sw, sll), hn::Mul(sl, sl));
      const auto solvable = hn::Gt(determinant, hn::Mul(Constant(1e-5f), hn::Mul(sw, sll)));
      const VF solution = hn::Div(hn::Sub(hn::Mul(sll, sx), hn::Mul(sl, slx)), determinant);
      const VF offset = hn::Min(hn::IfThenElseZero(solvable, solution), bound);
      const VF left = hn::Sub(slx, hn::Mul(offset, sl));
      const VF scale = hn::Div(left, sll);
      const VF gain = hn::Add(hn::Mul(scale, hn::Sub(hn::Mul(two, left), hn::Mul(scale, sll))),
                              hn::Mul(offset, hn::Sub(hn::Mul(two, sx), hn::Mul(offset, sw))));
      const auto better = hn::And(hn::Gt(gain, most), hn::Gt(scale, zero));
      most = hn::IfThenElse(better, gain, most);
      best_scale = hn::IfThenElse(better, scale, best_scale);
      best_minimum = hn::IfThenElse(better, hn::Sub(bound, offset), best_minimum);
    }
  }
  const auto varied = hn::Gt(range, Constant(kConstantRange));
  hn::Store(hn::IfThenElseZero(varied, best_scale), d, scales);
  hn::Store(hn::IfThenElse(varied, best_minimum, bound), d, minimums);
}

// Per column, in and out: RefineAffine replaces the fits by integer codes.
struct AffineColumns {
  HWY_ALIGN float scale[kColumns];
  HWY_ALIGN float minimum[kColumns];
  HWY_ALIGN float super_scale[kColumns];
  HWY_ALIGN float super_minimum[kColumns];
};

HWY_INLINE void RefineAffine(const float* x, const float* w, float top, AffineColumns& columns, size_t c,
                             uint8_t* levels) {
  const DF d;
  const VF zero = hn::Zero(d);
  const VF super_scale = hn::Load(d, columns.super_scale + c);
  const VF super_minimum = hn::Load(d, columns.super_minimum + c);
  const VF per_scale = InverseOrZero(super_scale), per_minimum = InverseOrZero(super_minimum);
  const VF scale0 = Nearest(Clamped(hn::Mul(hn::Load(d, columns.scale + c), per_scale), 0, 63));
  const VF minimum0 = Nearest(Clamped(hn::Mul(hn::Load(d, columns.minimum + c), per_minimum), 0, 63));
  VF sw = zero, sx = zero;
  for (size_t t = 0; t < kSmallBlock; ++t) {
    sw = hn::Add(sw, Row(w, t));
    sx = hn::Add(sx, hn::Mul(Row(w, t), Row(x, t)));
  }
  VF best_scale = zero, best_minimum = zero, least = Constant(std::numeric_limits<float>::infinity());
  for (const float neighbour : kNeighbours) {
    const VF code = Clamped(hn::Add(scale0, Constant(neighbour)), 0, 63);
    const VF scale = hn::Mul(super_scale, code);
    const VF steps = InverseOrZero(scale);
    VF minimum = minimum0;
    for (int round = 0; round < 2; ++round) {
      const VF offset = hn::Mul(super_minimum, minimum);
      VF sl = zero, error = zero;
      for (size_t t = 0; t < kSmallBlock; ++t) {
        const VF v = Row(x, t);
        const VF level = Nearest(Clamped(hn::Mul(hn::Add(v, offset), steps), 0, top));
        const VF e = hn::Sub(hn::Sub(hn::Mul(scale, level), offset), v);
        sl = hn::Add(sl, hn::Mul(Row(w, t), level));
        error = hn::Add(error, hn::Mul(Row(w, t), hn::Mul(e, e)));
      }
      const auto better = hn::Lt(error, least);
      least = hn::IfThenElse(better, error, least);
      best_scale = hn::IfThenElse(better, code, best_scale);
      best_minimum = hn::IfThenElse(better, minimum, best_minimum);
      minimum = Nearest(Clamped(hn::Mul(hn::Div(hn::Sub(hn::Mul(scale, sl), sx), sw), per_minimum), 0, 63));
    }
  }
  hn::Store(best_scale, d, columns.scale + c);
  hn::Store(best_minimum, d, columns.minimum + c);
  const VF scale = hn::Mul(super_scale, best_scale), offset = hn::Mul(super_minimum, best_minimum);
  const VF steps = InverseOrZero(scale);
  for (size_t t = 0; t < kSmallBlock; ++t) {
    StoreLevels(Nearest(Clamped(hn::Mul(hn::Add(Row(x, t), offset), steps), 0, top)), levels + t * kColumns);
  }
}

// Copies the levels of `count` columns, starting at `first`, in the order of the values.
template <size_t kDepth>
void GatherLevels(const uint8_t* columns, size_t first, size_t count, uint8_t* levels) {
  for (size_t c = 0; c < count; ++c) {
    for (size_t t = 0; t < kDepth; ++t) levels[c * kDepth + t] = columns[t * kColumns + first + c];
  }
}

template <DType kType>
void EncodeAffineRow(const float* values, const float* weights, size_t blocks, std::byte* out) {
  constexpr float kTop = kType == DType::kQ4_K ? 15 : 31;
  constexpr size_t kBlockBytes = kType == DType::kQ4_K ? sizeof(BlockQ4_K) : sizeof(BlockQ5_K);
  Columns columns;
  AffineColumns fits;
  if (!weights) std::fill_n(columns.w, kSmallBlock * kColumns, 1.0f);
  for (size_t b = 0; b < blocks; b += 2) {
    const size_t here = std::min<size_t>(2, blocks - b);
    FillColumns<kSmallBlock>(values + b * kSuperBlock, 8 * here, 0, columns.x);
    if (weights) FillColumns<kSmallBlock>(weights + b * kSuperBlock, 8 * here, 1, columns.w);
    for (size_t c = 0; c < 8 * here; c += hn::Lanes(DF())) {
      SearchAffine(columns.x + c, columns.w + c, kTop, fits.scale + c, fits.minimum + c);
    }
    AffineSuper supers[2] = {};
    for (size_t i = 0; i < here; ++i) {
      supers[i] = ChooseAffineSuper(std::span<const float, 8>(fits.scale + 8 * i, 8),
                                    std::span<const float, 8>(fits.minimum + 8 * i, 8), kTop);
    }
    for (size_t i = 0; i < 2; ++i) {
      std::fill_n(fits.super_scale + 8 * i, 8, supers[i].scale);
      std::fill_n(fits.super_minimum + 8 * i, 8, supers[i].minimum);
    }
    for (size_t c = 0; c < 8 * here; c += hn::Lanes(DF())) {
      RefineAffine(columns.x + c, columns.w + c, kTop, fits, c, columns.levels + c);
    }
    for (size_t i = 0; i < here; ++i) {
      Levels levels;
      GatherLevels<kSmallBlock>(columns.levels, 8 * i, 8, levels.data());
      uint8_t scales[8], minimums[8];
      for (size_t j = 0; j < 8; ++j) {
        scales[j] = static_cast<uint8_t>(fits.scale[8 * i + j]);
        minimums[j] = static_cast<uint8_t>(fits.minimum[8 * i + j]);
      }
      std::byte* block = out + (b + i) * kBlockBytes;
      if constexpr (kType == DType::kQ4_K) {
        PackQ4_K(supers[i], scales, minimums, levels, block);
      } else {
        PackQ5_K(supers[i], scales, minimums, levels, block);
      }
    }
  }
}

template <size_t kDepth>
HWY_INLINE void SearchSymmetric(const float* x, const float* w, float lowest, float* scales) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF low = Row(x, 0), high = low;
  for (size_t t = 0; t < kDepth; ++t) {
    low = hn::Min(Row(x, t), low);
    high = hn::Max(Row(x, t), high);
  }
  const VF extreme = hn::IfThenElse(hn::Gt(high, hn::Neg(low)), high, low);
  VF most = zero, best = zero;
  for (const float candidate : kSymmetricCandidates) {
    const VF steps = hn::Div(Constant(-(lowest + candidate)), extreme);
    VF sll = zero, slx = zero;
    for (size_t t = 0; t < kDepth; ++t) {
      const VF v = Row(x, t);
      const VF level = Nearest(Clamped(hn::Mul(v, steps), -lowest, lowest - 1));
      const VF wl = hn::Mul(Row(w, t), level);
      sll = hn::Add(sll, hn::Mul(wl, level));
      slx = hn::Add(slx, hn::Mul(wl, v));
    }
    const VF scale = hn::Div(slx, sll);
    const VF gain = hn::Mul(scale, slx);
    const auto better = hn::Gt(gain, most);
    most = hn::IfThenElse(better, gain, most);
    best = hn::IfThenElse(better, scale, best);
  }
  hn::Store(hn::IfThenElseZero(hn::Gt(hn::Abs(extreme), Constant(kConstantRange)), best), d, scales);
}

HWY_INLINE void RefineQ6_K(const float* x, const float* w, float super, float* scales, uint8_t* levels) {
  const DF d;
  const VF zero = hn::Zero(d), super_scale = Constant(super);
  const VF scale0 = Nearest(Clamped(hn::Mul(hn::Load(d, scales), InverseOrZero(super_scale)), -128, 127));
  VF best = zero, least = Constant(std::numeric_limits<float>::infinity());
  for (const float neighbour : kNeighbours) {
    const VF code = Clamped(hn::Add(scale0, Constant(neighbour)), -128, 127);
    const VF scale = hn::Mul(super_scale, code);
    const VF steps = InverseOrZero(scale);
    VF error = zero;
    for (size_t t = 0; t < 16; ++t) {
      const VF v = Row(x, t);
      const VF e = hn::Sub(hn::Mul(scale, Nearest(Clamped(hn::Mul(v, steps), -32, 31))), v);
      error = hn::Add(error, hn::Mul(Row(w, t), hn::Mul(e, e)));
    }
    const auto better = hn::Lt(error, least);
    least = hn::IfThenElse(better, error, least);
    best = hn::IfThenElse(better, code, best);
  }
  hn::Store(best, d, scales);
  const VF steps = InverseOrZero(hn::Mul(super_scale, best));
  for (size_t t = 0; t < 16; ++t) {
    const VF level = Nearest(Clamped(hn::Mul(Row(x, t), steps), -32, 31));
    StoreLevels(hn::Add(level, Constant(32)), levels + t * kColumns);
  }
}

void EncodeQ6_KRow(const float* values, const float* weights, size_t blocks, std::byte* out) {
  Columns columns;
  HWY_ALIGN float scales[kColumns];
  if (!weights) std::fill_n(columns.w, kSmallBlock * kColumns, 1.0f);
  for (size_t b = 0; b < blocks; ++b) {
    FillColumns<16>(values + b * kSuperBlock, kColumns, 0, columns.x);
    if (weights) FillColumns<16>(weights + b * kSuperBlock, kColumns, 1, columns.w);
    for (size_t c = 0; c < kColumns; c += hn::Lanes(DF())) {
      SearchSymmetric<16>(columns.x + c, columns.w + c, 32, scales + c);
    }
    const SymmetricSuper super = ChooseSymmetricSuper(scales);
    for (size_t c = 0; c < kColumns; c += hn::Lanes(DF())) {
      RefineQ6_K(columns.x + c, columns.w + c, super.scale, scales + c, columns.levels + c);
    }
    Levels levels;
    GatherLevels<16>(columns.levels, 0, kColumns, levels.data());
    int8_t codes[kColumns];
    for (size_t j = 0; j < kColumns; ++j) codes[j] = static_cast<int8_t>(scales[j]);
    PackQ6_K(super, codes, levels, out + b * sizeof(BlockQ6_K));
  }
}

void EncodeQ4_0Row(const float* values, const float* weights, size_t blocks, std::byte* out) {
  Columns columns;
  HWY_ALIGN float scales[kColumns];
  if (!weights) std::fill_n(columns.w, kSmallBlock * kColumns, 1.0f);
  for (size_t b = 0; b < blocks; b += kColumns) {
    const size_t here = std::min(kColumns, blocks - b);
    FillColumns<kSmallBlock>(values + b * kSmallBlock, here, 0, columns.x);
    if (weights) FillColumns<kSmallBlock>(weights + b * kSmallBlock, here, 1, columns.w);
    F16 stored[kColumns];
    for (size_t c = 0; c < here; c += hn::Lanes(DF())) {
      SearchSymmetric<kSmallBlock>(columns.x + c, columns.w + c, 8, scales + c);
      for (size_t i = c; i < c + hn::Lanes(DF()); ++i) {
        stored[i] = NearestScale(scales[i], std::abs(scales[i]) * 8.0f);
        scales[i] = ToFloat(stored[i]);
      }
      const VF steps = InverseOrZero(hn::Load(DF(), scales + c));
      for (size_t t = 0; t < kSmallBlock; ++t) {
        const VF level = Nearest(Clamped(hn::Mul(Row(columns.x + c, t), steps), -8, 7));
        StoreLevels(hn::Add(level, Constant(8)), columns.levels + t * kColumns + c);
      }
    }
    for (size_t i = 0; i < here; ++i) {
      uint8_t levels[kSmallBlock];
      GatherLevels<kSmallBlock>(columns.levels, i, 1, levels);
      PackQ4_0(stored[i], levels, out + (b + i) * sizeof(BlockQ4_0));
    }
  }
}

void EncodeQ8_0Row(const float* values, size_t blocks, std::byte* out) {
  const DF d;
  const hn::Rebind<int8_t, DF> di8;
  for (size_t b = 0; b < blocks; ++b) {
    const float* x = values + b * kSmallBlock;
    VF largest = hn::Zero(d);
    for (size_t j = 0; j < kSmallBlock; j += hn::Lanes(d)) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + j)));
    const float scale = hn::GetLane(hn::MaxOfLanes(d, largest)) / 127.0f;
    const VF steps = Constant(scale < 0x1p-126f ? 0.0f : 1.0f / scale);
    BlockQ8_0 block;
    block.d = ToF16(scale);
    for (size_t j = 0; j < kSmallBlock; j += hn::Lanes(d)) {
      // Rounds halves away from zero; correct also for the float just below 0.5, because the fraction is exact.
      const VF v = hn::Mul(hn::LoadU(d, x + j), steps);
      const VF whole = hn::Trunc(v);
      const auto up = hn::Ge(hn::Abs(hn::Sub(v, whole)), Constant(0.5f));
      const VF q = hn::Add(whole, hn::IfThenElseZero(up, hn::CopySign(Constant(1), v)));
      hn::StoreU(hn::DemoteTo(di8, hn::ConvertTo(DI(), q)), di8, block.q + j);
    }
    StoreBlock(block, out, b);
  }
}

void EncodeRowTarget(DType type, const float* values, const float* weights, size_t blocks, std::byte* out) {
  switch (type) {
    case DType::kQ8_0:
      return EncodeQ8_0Row(values, blocks, out);
    case DType::kQ4_0:
      return EncodeQ4_0Row(values, weights, blocks, out);
    case DType::kQ4_K:
      return EncodeAffineRow<DType::kQ4_K>(values, weights, blocks, out);
    case DType::kQ5_K:
      return EncodeAffineRow<DType::kQ5_K>(values, weights, blocks, out);
    default:
      return EncodeQ6_KRow(values, weights, blocks, out);
  }
}

// Index of the first whole vector that holds a bad value, or of the remainder.
size_t FirstSuspect(const float* values, size_t n, float limit) {
  const DF d;
  size_t i = 0;
  while (i + hn::Lanes(d) <= n && hn::AllTrue(d, hn::Le(hn::Abs(hn::LoadU(d, values + i)), Constant(limit)))) {
    i += hn::Lanes(d);
  }
  return i;
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(EncodeRowTarget);
HWY_EXPORT(FirstSuspect);
}  // namespace

float MaxQuantizable(DType type) {
  constexpr float kLargestF16 = 65504;
  switch (type) {
    case DType::kQ8_0:
      return 127 * kLargestF16;
    case DType::kQ4_0:
      return 8 * kLargestF16;
    case DType::kQ4_K:
    case DType::kQ5_K:
      return 63 * kLargestF16;  // the limit of the minimum, below zero; above zero it would be 15 times that
    case DType::kQ6_K:
      return 127 * 31 * kLargestF16;
    default:
      STABLELM_CHECK(false);
  }
}

size_t FirstNotQuantizable(DType type, std::span<const float> values) {
  const float limit = MaxQuantizable(type);
  size_t i = HWY_DYNAMIC_DISPATCH(FirstSuspect)(values.data(), values.size(), limit);
  while (i < values.size() && std::abs(values[i]) <= limit) ++i;
  return i;
}

void EncodeRow(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out) {
  const auto length = static_cast<size_t>(BlockElements(type));
  STABLELM_CHECK(IsQuantized(type) && values.size() % length == 0);
  STABLELM_CHECK(weights.empty() || weights.size() == values.size());
  if (const size_t bad = FirstNotQuantizable(type, values); bad < values.size()) {
    const float value = values[bad];
    throw Error({.where = "value " + std::to_string(bad) + " of the row",
                 .what = "cannot be stored as " + std::string(NameOf(type)),
                 .found = std::isnan(value) ? "NaN" : std::to_string(value),
                 .expected = "a number between +-" + std::to_string(static_cast<int64_t>(MaxQuantizable(type)))});
  }
  HWY_DYNAMIC_DISPATCH(EncodeRowTarget)
  (type, values.data(), weights.empty() ? nullptr : weights.data(), values.size() / length, out);
}

std::vector<float> ImportanceWeights(std::span<const float> importance) {
  double sum = 0;
  for (size_t i = 0; i < importance.size(); ++i) {
    if (!std::isfinite(importance[i]) || importance[i] < 0) {
      throw Error({.where = "importance of column " + std::to_string(i),
                   .what = "not a finite number of at least 0",
                   .found = std::to_string(importance[i]),
                   .hint = "measure the importance again: stablelm imatrix"});
    }
    sum += static_cast<double>(importance[i]);
  }
  if (!(sum > 0)) return {};
  const double per_mean = static_cast<double>(importance.size()) / sum;
  std::vector<float> weights(importance.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(std::clamp(importance[i] * per_mean, 0x1p-10, 0x1p10));
  }
  return weights;
}

}  // namespace stablelm
#endif  // HWY_ONCE
