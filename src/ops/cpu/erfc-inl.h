// The complementary error function of a vector, for the activation and its derivative. Included once per SIMD target.
#if defined(STABLELM_OPS_ERFC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_ERFC_INL_H_
#undef STABLELM_OPS_ERFC_INL_H_
#else
#define STABLELM_OPS_ERFC_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// erfc(a) for a >= 0, and exp(-a^2): t Q(t) exp(-a^2), t = 1 / (1 + 0.3 a). Q is a minimax fit of degree 8 with a
// relative error of 2.0e-8 up to a = 9.6, where erfc leaves the range of fp32 (scripts/fit_erfc.py).
HWY_INLINE VF Erfc(DF d, VF a, VF& exp) {
  const VF one = hn::Set(d, 1.0f);
  const VF t = hn::Div(one, hn::MulAdd(a, hn::Set(d, 0.3f), one));
  VF q = hn::Set(d, -0.129457875f);
  for (const float c : {0.485221576f, -0.511508584f, 0.54675084f, -0.0939052916f, 0.214568092f, 0.148443822f,
                        0.170698222f, 0.16918918f}) {
    q = hn::MulAdd(q, t, hn::Set(d, c));
  }
  exp = hn::Exp(d, hn::Neg(hn::Mul(a, a)));
  return hn::Mul(hn::Mul(t, q), exp);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
