#include "ops/scores/score_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/scores/score_row.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
using DI = hn::RebindToSigned<DF>;
using DD = hn::ScalableTag<double>;

bool IsScores(const float* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float top = std::numeric_limits<float>::max();
  const VF limit = hn::Set(d, top);
  auto good = hn::Eq(limit, limit);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) good = hn::And(good, hn::Le(hn::LoadU(d, x + i), limit));  // false for NaN
  bool all = hn::AllTrue(d, good);
  for (; i < n; ++i) all = all && x[i] <= top;
  return all;
}

float MaxOfAll(const float* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  float max = -std::numeric_limits<float>::infinity();
  size_t i = 0;
  if (n >= 4 * lanes) {  // four chains, to hide the latency of one
    VF a = hn::LoadU(d, x), b = hn::LoadU(d, x + lanes), c = hn::LoadU(d, x + 2 * lanes);
    VF e = hn::LoadU(d, x + 3 * lanes);
    for (i = 4 * lanes; i + 4 * lanes <= n; i += 4 * lanes) {
      a = hn::Max(a, hn::LoadU(d, x + i));
      b = hn::Max(b, hn::LoadU(d, x + i + lanes));
      c = hn::Max(c, hn::LoadU(d, x + i + 2 * lanes));
      e = hn::Max(e, hn::LoadU(d, x + i + 3 * lanes));
    }
    max = hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(a, b), hn::Max(c, e))));
  }
  for (; i < n; ++i) max = std::max(max, x[i]);
  return max;
}

float Lowest(const float* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float none = std::numeric_limits<float>::infinity();
  const VF removed = hn::Set(d, -none), high = hn::Set(d, none);
  const auto of = [&](size_t i) HWY_ATTR {
    const VF v = hn::LoadU(d, x + i);
    return hn::IfThenElse(hn::Eq(v, removed), high, v);
  };
  VF a = high, b = high;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::Min(a, of(i));
    b = hn::Min(b, of(i + lanes));
  }
  float least = hn::GetLane(hn::MinOfLanes(d, hn::Min(a, b)));
  for (; i < n; ++i) {
    if (x[i] > -none) least = std::min(least, x[i]);
  }
  return least;
}

size_t FirstEqualOf(const float* x, size_t n, float value) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF wanted = hn::Set(d, value);
  size_t i = 0;
  while (i + lanes <= n && hn::AllFalse(d, hn::Eq(hn::LoadU(d, x + i), wanted))) i += lanes;
  while (i < n && x[i] != value) ++i;
  return i;
}

void Divide(float* x, size_t n, float divisor) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF by = hn::Set(d, divisor);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Div(hn::LoadU(d, x + i), by), d, x + i);
  for (; i < n; ++i) x[i] /= divisor;
}

void MaximaOfColumns(const float* x, size_t n, size_t columns, float* maxima) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  std::memcpy(maxima, x, columns * sizeof(float));
  for (size_t begin = columns; begin < n; begin += columns) {
    const size_t width = std::min(columns, n - begin);
    size_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      hn::StoreU(hn::Max(hn::LoadU(d, maxima + j), hn::LoadU(d, x + begin + j)), d, maxima + j);
    }
    for (; j < width; ++j) maxima[j] = std::max(maxima[j], x[begin + j]);
  }
}

size_t Collect(const float* x, size_t n, float least, int32_t* ids, float* values) {
  const DF d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  const VF threshold = hn::Set(d, least);
  size_t count = 0, i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::LoadU(d, x + i);
    const auto keep = hn::Ge(v, threshold);
    if (hn::AllFalse(d, keep)) continue;
    const auto id = hn::Iota(di, static_cast<int32_t>(i));
    // Compress, then store the whole vector: the compressing store of some AVX-512 machines is very slow. The next
    // store overwrites the excess, or it is in the padding.
    hn::StoreU(hn::Compress(v, keep), d, values + count);
    hn::StoreU(hn::Compress(id, hn::RebindMask(di, keep)), di, ids + count);
    count += hn::CountTrue(d, keep);
  }
  for (; i < n; ++i) {
    if (x[i] >= least) {
      ids[count] = static_cast<int32_t>(i);
      values[count++] = x[i];
    }
  }
  return count;
}

size_t Count(const float* x, size_t n, float least) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF threshold = hn::Set(d, least);
  size_t count = 0, i = 0;
  for (; i + lanes <= n; i += lanes) count += hn::CountTrue(d, hn::Ge(hn::LoadU(d, x + i), threshold));
  for (; i < n; ++i) count += x[i] >= least;
  return count;
}

void Bins(const float* x, size_t n, float max, float per_unit, int32_t last_bin, int32_t* bins) {
  const DF d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  const VF top = hn::Set(d, max), scale = hn::Set(d, per_unit), last = hn::Set(d, static_cast<float>(last_bin));
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF at = hn::Min(hn::Mul(hn::Sub(top, hn::LoadU(d, x + i)), scale), last);
    hn::StoreU(hn::ConvertTo(di, at), di, bins + i);
  }
  for (; i < n; ++i) {
    bins[i] = static_cast<int32_t>(std::min((max - x[i]) * per_unit, static_cast<float>(last_bin)));
  }
}

size_t Indices(const int32_t* bins, size_t n, int32_t bin, int32_t* indices) {
  const DI di;
  const size_t lanes = hn::Lanes(di);
  const auto wanted = hn::Set(di, bin);
  size_t count = 0, i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto equal = hn::Eq(hn::LoadU(di, bins + i), wanted);
    if (hn::AllFalse(di, equal)) continue;
    hn::StoreU(hn::Compress(hn::Iota(di, static_cast<int32_t>(i)), equal), di, indices + count);
    count += hn::CountTrue(di, equal);
  }
  for (; i < n; ++i) {
    if (bins[i] == bin) indices[count++] = static_cast<int32_t>(i);
  }
  return count;
}

// Floats of at least 2^-13 are multiples of 2^-36 already. Smaller ones are rounded by adding 2^-13, which leaves 23
// bits below it.
HWY_INLINE VF Weight(DF d, VF x, VF max) {
  const VF edge = hn::Set(d, 0x1p-13f);
  const VF w = hn::Exp(d, hn::Sub(x, max));
  return hn::IfThenElse(hn::Lt(w, edge), hn::Sub(hn::Add(w, edge), edge), w);
}

// One vector of doubles with the same sum.
HWY_INLINE hn::Vec<DD> HalvesAdded(VF w) {
  const DD dd;
#if HWY_TARGET == HWY_SCALAR
  return hn::PromoteTo(dd, w);  // there are no halves
#else
  const hn::Half<DF> dh;
  return hn::Add(hn::PromoteTo(dd, hn::LowerHalf(dh, w)), hn::PromoteTo(dd, hn::UpperHalf(dh, w)));
#endif
}

double Weights(const float* x, size_t n, float max, float* weights) {
  const DF d;
  const DD dd;
  const size_t lanes = hn::Lanes(d);
  const VF top = hn::Set(d, max);
  auto sum = hn::Zero(dd);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF w = Weight(d, hn::LoadU(d, x + i), top);
    hn::StoreU(w, d, weights + i);
    sum = hn::Add(sum, HalvesAdded(w));
  }
  if (i < n) {  // the remainder, with the same vector arithmetic
    HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)];
    std::fill(rest, rest + HWY_MAX_BYTES / sizeof(float), -std::numeric_limits<float>::infinity());
    std::memcpy(rest, x + i, (n - i) * sizeof(float));
    const VF w = Weight(d, hn::Load(d, rest), top);
    hn::Store(w, d, rest);
    std::memcpy(weights + i, rest, (n - i) * sizeof(float));
    sum = hn::Add(sum, HalvesAdded(w));
  }
  return hn::GetLane(hn::SumOfLanes(dd, sum));
}

double Remove(const float* key, size_t n, float least, float* x, float* weights) {
  const DF d;
  const DD dd;
  const size_t lanes = hn::Lanes(d);
  const float removed_score = -std::numeric_limits<float>::infinity();
  const VF threshold = hn::Set(d, least), removed = hn::Set(d, removed_score);
  auto sum = hn::Zero(dd);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto keep = hn::Ge(hn::LoadU(d, key + i), threshold);
    const VF w = hn::IfThenElseZero(keep, hn::LoadU(d, weights + i));
    hn::StoreU(hn::IfThenElse(keep, hn::LoadU(d, x + i), removed), d, x + i);
    hn::StoreU(w, d, weights + i);
    sum = hn::Add(sum, HalvesAdded(w));
  }
  double total = hn::GetLane(hn::SumOfLanes(dd, sum));
  for (; i < n; ++i) {
    if (key[i] < least) {
      x[i] = removed_score;
      weights[i] = 0;
    }
    total += static_cast<double>(weights[i]);
  }
  return total;
}

double Sum(const float* weights, size_t n) {
  const DF d;
  const DD dd;
  const size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(dd);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) sum = hn::Add(sum, HalvesAdded(hn::LoadU(d, weights + i)));
  double total = hn::GetLane(hn::SumOfLanes(dd, sum));
  for (; i < n; ++i) total += static_cast<double>(weights[i]);
  return total;
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(IsScores);
HWY_EXPORT(MaxOfAll);
HWY_EXPORT(Lowest);
HWY_EXPORT(FirstEqualOf);
HWY_EXPORT(Divide);
HWY_EXPORT(MaximaOfColumns);
HWY_EXPORT(Collect);
HWY_EXPORT(Count);
HWY_EXPORT(Bins);
HWY_EXPORT(Indices);
HWY_EXPORT(Remove);
HWY_EXPORT(Weights);
HWY_EXPORT(Sum);
}  // namespace

bool IsScoreRow(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(IsScores)(x, n); }
float MaxOf(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(MaxOfAll)(x, n); }
float LowestOf(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(Lowest)(x, n); }
size_t FirstEqual(const float* x, size_t n, float value) { return HWY_DYNAMIC_DISPATCH(FirstEqualOf)(x, n, value); }
void DivideInPlace(float* x, size_t n, float divisor) { HWY_DYNAMIC_DISPATCH(Divide)(x, n, divisor); }
void ColumnMaxima(const float* x, size_t n, size_t columns, float* maxima) {
  HWY_DYNAMIC_DISPATCH(MaximaOfColumns)(x, n, columns, maxima);
}
size_t CollectAtLeast(const float* x, size_t n, float least, int32_t* ids, float* values) {
  return HWY_DYNAMIC_DISPATCH(Collect)(x, n, least, ids, values);
}
size_t CountAtLeast(const float* x, size_t n, float least) { return HWY_DYNAMIC_DISPATCH(Count)(x, n, least); }
void BinsBelow(const float* x, size_t n, float max, float per_unit, int32_t last_bin, int32_t* bins) {
  HWY_DYNAMIC_DISPATCH(Bins)(x, n, max, per_unit, last_bin, bins);
}
size_t IndicesOf(const int32_t* bins, size_t n, int32_t bin, int32_t* indices) {
  return HWY_DYNAMIC_DISPATCH(Indices)(bins, n, bin, indices);
}
double RemoveBelow(const float* key, size_t n, float least, float* x, float* weights) {
  return HWY_DYNAMIC_DISPATCH(Remove)(key, n, least, x, weights);
}
double SoftmaxWeights(const float* x, size_t n, float max, float* weights) {
  return HWY_DYNAMIC_DISPATCH(Weights)(x, n, max, weights);
}
double SumOfWeights(const float* weights, size_t n) { return HWY_DYNAMIC_DISPATCH(Sum)(weights, n); }

}  // namespace stablelm
#endif  // HWY_ONCE
