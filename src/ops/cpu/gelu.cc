#include "ops/gelu.h"

#include <cmath>
#include <cstring>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/gelu.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "ops/cpu/erfc-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Written with erfc of |z|, so that neither tail cancels: z < 0: 0.5 z erfc(|z|/sqrt 2); z >= 0: z - 0.5 z erfc(z/sqrt
// 2).
HWY_INLINE VF GeluErf(DF d, VF z) {
  VF exp;
  const VF e = Erfc(d, hn::Mul(hn::Abs(z), hn::Set(d, static_cast<float>(std::numbers::sqrt2 / 2))), exp);
  const VF tail = hn::Mul(hn::Mul(z, hn::Set(d, 0.5f)), e);
  return hn::IfThenElse(hn::Lt(z, hn::Zero(d)), tail, hn::Sub(z, tail));
}

// 0.5 z (1 + tanh u) = z / (1 + exp(-2u)).
HWY_INLINE VF GeluTanh(DF d, VF z) {
  const VF k = hn::Set(d, static_cast<float>(-2.0 * 0.7978845608028654));
  const VF cubic = hn::MulAdd(hn::Mul(hn::Mul(z, z), z), hn::Set(d, 0.044715f), z);
  const VF exponent = hn::Min(hn::Mul(k, cubic), hn::Set(d, 88.0f));
  return hn::Div(z, hn::Add(hn::Set(d, 1.0f), hn::Exp(d, exponent)));
}

template <typename F>
HWY_INLINE void Map(const float* x, size_t n, float* y, const F& f) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(d, hn::LoadU(d, x + i)), d, y + i);
  if (i < n) {  // the same vector arithmetic for the rest
    HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(rest, x + i, (n - i) * sizeof(float));
    hn::Store(f(d, hn::Load(d, rest)), d, rest);
    std::memcpy(y + i, rest, (n - i) * sizeof(float));
  }
}

void GeluErfAll(const float* x, size_t n, float* y) {
  Map(x, n, y, [](DF d, VF z) HWY_ATTR { return GeluErf(d, z); });
}
void GeluTanhAll(const float* x, size_t n, float* y) {
  Map(x, n, y, [](DF d, VF z) HWY_ATTR { return GeluTanh(d, z); });
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(GeluErfAll);
HWY_EXPORT(GeluTanhAll);
}  // namespace

void Gelu(GeluForm form, const float* x, size_t n, float* y, ExecutionContext& exec) {
  exec.pool().ForRanges(n, 4096, [&](size_t begin, size_t end) { GeluRow(form, x + begin, end - begin, y + begin); });
}

void GeluRow(GeluForm form, const float* x, size_t n, float* y) {
  if (form == GeluForm::kErf) {
    HWY_DYNAMIC_DISPATCH(GeluErfAll)(x, n, y);
  } else {
    HWY_DYNAMIC_DISPATCH(GeluTanhAll)(x, n, y);
  }
}

}  // namespace stablelm
#endif  // HWY_ONCE
