#include "ops/gelu_backward.h"

#include <cstring>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/gelu_backward.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "ops/cpu/erfc-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Phi(z) + z phi(z), with the erfc of |z| as in the forward pass: Phi(z) = erfc(|z|/sqrt 2) / 2 for z < 0, else 1 minus
// that. Its exponential is that of phi.
HWY_INLINE VF ErfDerivative(DF d, VF z) {
  VF exp;
  const VF e = Erfc(d, hn::Mul(hn::Abs(z), hn::Set(d, static_cast<float>(std::numbers::sqrt2 / 2))), exp);
  const VF half = hn::Set(d, 0.5f);
  const VF below = hn::Mul(half, e);
  const VF probability = hn::IfThenElse(hn::Lt(z, hn::Zero(d)), below, hn::Sub(hn::Set(d, 1.0f), below));
  const VF density = hn::Mul(exp, hn::Set(d, static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2)));
  return hn::MulAdd(z, density, probability);
}

// With s = (1 + u) / 2 = 1 / (1 + e), e = exp(-2 c (z + k z^3)), and 1 - s = e s: s + 2 z c (1 + 3 k z^2) s e s.
HWY_INLINE VF TanhDerivative(DF d, VF z) {
  constexpr double kC = 0.7978845608028654, kK = 0.044715;
  // From |z| = 10 on it is 0 or 1, up to 1e-35: the cube must not overflow. NaN stays.
  const VF last = hn::Set(d, 10.0f);
  z = hn::IfThenElse(hn::Gt(hn::Abs(z), last), hn::CopySign(last, z), z);
  const VF one = hn::Set(d, 1.0f);
  const VF square = hn::Mul(z, z);
  const VF cubic = hn::MulAdd(hn::Mul(square, z), hn::Set(d, static_cast<float>(kK)), z);
  const VF e = hn::Exp(d, hn::Mul(hn::Set(d, static_cast<float>(-2 * kC)), cubic));
  const VF s = hn::Div(one, hn::Add(one, e));
  const VF rise =
      hn::MulAdd(square, hn::Set(d, static_cast<float>(6 * kC * kK)), hn::Set(d, static_cast<float>(2 * kC)));
  return hn::MulAdd(hn::Mul(z, rise), hn::Mul(hn::Mul(s, e), s), s);
}

template <typename F>
HWY_INLINE void Map(const float* x, const float* dy, size_t n, float* dx, const F& f) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, dy + i), f(d, hn::LoadU(d, x + i))), d, dx + i);
  }
  if (i < n) {  // the same vector arithmetic for the rest
    HWY_ALIGN float rest[2][HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(rest[0], x + i, (n - i) * sizeof(float));
    std::memcpy(rest[1], dy + i, (n - i) * sizeof(float));
    hn::Store(hn::Mul(hn::Load(d, rest[1]), f(d, hn::Load(d, rest[0]))), d, rest[0]);
    std::memcpy(dx + i, rest[0], (n - i) * sizeof(float));
  }
}

void ErfBackward(const float* x, const float* dy, size_t n, float* dx) {
  Map(x, dy, n, dx, [](DF d, VF z) HWY_ATTR { return ErfDerivative(d, z); });
}
void TanhBackward(const float* x, const float* dy, size_t n, float* dx) {
  Map(x, dy, n, dx, [](DF d, VF z) HWY_ATTR { return TanhDerivative(d, z); });
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(ErfBackward);
HWY_EXPORT(TanhBackward);
}  // namespace

void GeluBackward(GeluForm form, const float* x, const float* dy, size_t n, float* dx, ExecutionContext& exec) {
  exec.pool().ForRanges(n, 4096, [&](size_t begin, size_t end) {
    if (form == GeluForm::kErf) {
      HWY_DYNAMIC_DISPATCH(ErfBackward)(x + begin, dy + begin, end - begin, dx + begin);
    } else {
      HWY_DYNAMIC_DISPATCH(TanhBackward)(x + begin, dy + begin, end - begin, dx + begin);
    }
  });
}

}  // namespace stablelm
#endif  // HWY_ONCE
