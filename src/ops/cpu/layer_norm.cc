#include "ops/layer_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/layer_norm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/layer_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void NormRows(const LayerNormInput& in, size_t begin, size_t end) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const size_t n = in.width;
  const size_t whole = n / lanes * lanes;
  for (size_t r = begin; r < end; ++r) {
    const float* x = in.x + r * n;
    float* y = in.y + r * n;
    const RowMoments moments = MomentsOf(x, n, in.norm.eps);
    const float mean = moments.mean, scale = moments.scale;

    const auto mean_v = hn::Set(d, mean), scale_v = hn::Set(d, scale);
    for (size_t i = 0; i < whole; i += lanes) {
      const auto c = hn::Mul(hn::Sub(hn::LoadU(d, x + i), mean_v), scale_v);
      hn::StoreU(hn::MulAdd(c, hn::LoadU(d, in.norm.weight + i), hn::LoadU(d, in.norm.bias + i)), d, y + i);
    }
    for (size_t i = whole; i < n; ++i) y[i] = (x[i] - mean) * scale * in.norm.weight[i] + in.norm.bias[i];
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(NormRows);
}

void LayerNorm(const LayerNormInput& in, ExecutionContext& exec) {
  exec.pool().ForRanges(in.rows, 1, [&](size_t begin, size_t end) { HWY_DYNAMIC_DISPATCH(NormRows)(in, begin, end); });
}

void LayerNormRow(const float* x, size_t width, const LayerNormWeights& norm, float* y) {
  HWY_DYNAMIC_DISPATCH(NormRows)({.x = x, .rows = 1, .width = width, .norm = norm, .y = y}, 0, 1);
}

}  // namespace stablelm
#endif  // HWY_ONCE
