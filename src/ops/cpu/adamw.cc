#include "ops/adamw.h"

#include <cmath>
#include <cstring>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/adamw.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#ifndef STABLELM_OPS_ADAMW_ONCE_
#define STABLELM_OPS_ADAMW_ONCE_
namespace stablelm {
namespace {
// Of one step, computed in fp64 and rounded once.
struct AdamWFactors {
  float gradient_scale, beta1, new1, beta2, new2;  // new: 1 - beta
  float root;                                      // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float rate;   // rate / (1 - beta1^t)
  float decay;  // rate * decay
};
}  // namespace
}  // namespace stablelm
#endif

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// Zero for denormals; keeps NaN.
HWY_INLINE VF Flushed(DF d, VF x) { return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), hn::Set(d, 0x1p-126f)), x); }

// The step of Lanes(d) elements: g, w, m, v -> w, m, v. Square root and division are rounded correctly on every target.
HWY_INLINE void Update(DF d, const AdamWFactors& f, VF g, VF& w, VF& m, VF& v) {
  g = hn::Mul(g, hn::Set(d, f.gradient_scale));
  m = Flushed(d, hn::MulAdd(hn::Set(d, f.beta1), m, hn::Mul(hn::Set(d, f.new1), g)));
  v = Flushed(d, hn::MulAdd(hn::Set(d, f.beta2), v, hn::Mul(hn::Mul(hn::Set(d, f.new2), g), g)));
  const VF spread = hn::MulAdd(hn::Sqrt(v), hn::Set(d, f.root), hn::Set(d, f.epsilon));
  const VF change = hn::Div(hn::Mul(hn::Set(d, f.rate), m), spread);
  // w - (rate * decay w + change) = w (1 - rate * decay) - change, without rounding 1 - rate * decay: a decay of 2e-7
  // a step is three units in the last place of 1.
  w = hn::Sub(w, hn::MulAdd(hn::Set(d, f.decay), w, change));
}

void UpdateAll(const AdamWFactors& f, size_t n, const float* HWY_RESTRICT gradient, float* HWY_RESTRICT weights,
               float* HWY_RESTRICT ms, float* HWY_RESTRICT vs) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    VF w = hn::LoadU(d, weights + i), m = hn::LoadU(d, ms + i), v = hn::LoadU(d, vs + i);
    Update(d, f, hn::LoadU(d, gradient + i), w, m, v);
    hn::StoreU(w, d, weights + i);
    hn::StoreU(m, d, ms + i);
    hn::StoreU(v, d, vs + i);
  }
  if (i < n) {  // the same vector arithmetic for the rest
    const size_t bytes = (n - i) * sizeof(float);
    HWY_ALIGN float rest[4][HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(rest[0], gradient + i, bytes);
    std::memcpy(rest[1], weights + i, bytes);
    std::memcpy(rest[2], ms + i, bytes);
    std::memcpy(rest[3], vs + i, bytes);
    VF w = hn::Load(d, rest[1]), m = hn::Load(d, rest[2]), v = hn::Load(d, rest[3]);
    Update(d, f, hn::Load(d, rest[0]), w, m, v);
    hn::Store(w, d, rest[1]);
    hn::Store(m, d, rest[2]);
    hn::Store(v, d, rest[3]);
    std::memcpy(weights + i, rest[1], bytes);
    std::memcpy(ms + i, rest[2], bytes);
    std::memcpy(vs + i, rest[3], bytes);
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(UpdateAll);
}

void AdamW(const AdamWStep& step, size_t n, const float* gradient, float* weights, float* m, float* v) {
  STABLELM_CHECK(step.t >= 1);
  const double t = static_cast<double>(step.t);
  const AdamWFactors factors = {.gradient_scale = static_cast<float>(step.gradient_scale),
                                .beta1 = static_cast<float>(step.beta1),
                                .new1 = static_cast<float>(1 - step.beta1),
                                .beta2 = static_cast<float>(step.beta2),
                                .new2 = static_cast<float>(1 - step.beta2),
                                .root = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t))),
                                .epsilon = static_cast<float>(step.epsilon),
                                .rate = static_cast<float>(step.rate / (1 - std::pow(step.beta1, t))),
                                .decay = static_cast<float>(step.rate * step.decay)};
  HWY_DYNAMIC_DISPATCH(UpdateAll)(factors, n, gradient, weights, m, v);
}

}  // namespace stablelm
#endif  // HWY_ONCE
