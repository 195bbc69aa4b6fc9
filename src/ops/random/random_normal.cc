#include "ops/random/random_normal.h"

#include <cstring>

#include "ops/random/random_normal_constants.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/random/random_normal.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/random/philox-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
void FillNormalTarget(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n) {
  FillNormalRef(key, stream, first_block, scale, out, n);
}
#else

// No MulAdd in this file: a fused one rounds once where the reference rounds twice.
using DU = hn::CappedTag<uint32_t, kNormalBlock / 4>;
using DI = hn::RebindToSigned<DU>;
using DF = hn::RebindToFloat<DU>;
using VU = hn::Vec<DU>;
using VF = hn::Vec<DF>;

HWY_INLINE VF Log(VF u) {
  const DF df;
  const DI di;
  const auto bits = hn::BitCast(di, u);
  const auto exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, static_cast<int32_t>(normal::kSqrtHalfBits))));
  const VF x = hn::Sub(hn::BitCast(df, hn::Sub(bits, hn::ShiftLeft<23>(exponent))), hn::Set(df, 1.0f));
  const VF e = hn::ConvertTo(df, exponent);
  const VF z = hn::Mul(x, x);
  VF p = hn::Set(df, normal::kLog[0]);
  for (int i = 1; i < 9; ++i) p = hn::Add(hn::Mul(p, x), hn::Set(df, normal::kLog[i]));
  p = hn::Mul(hn::Mul(p, x), z);
  p = hn::Add(p, hn::Mul(e, hn::Set(df, normal::kLn2Low)));
  p = hn::Sub(p, hn::Mul(hn::Set(df, 0.5f), z));
  return hn::Add(hn::Add(x, p), hn::Mul(e, hn::Set(df, normal::kLn2High)));
}

HWY_INLINE VF Horner3(const float (&c)[3], VF z) {
  const DF df;
  const VF p = hn::Add(hn::Mul(hn::Set(df, c[0]), z), hn::Set(df, c[1]));
  return hn::Add(hn::Mul(p, z), hn::Set(df, c[2]));
}

// NormalPairRef in every lane; the two samples go to out[0..] and out[16..].
HWY_INLINE void StorePair(VU radius_word, VU angle_word, VF scale, float* out) {
  const DU du;
  const DI di;
  const DF df;
  const VF half = hn::Set(df, 0.5f);
  const VF top = hn::ConvertTo(df, hn::BitCast(di, hn::ShiftRight<8>(radius_word)));
  const VF u = hn::Mul(hn::Add(top, half), hn::Set(df, normal::kUnit));
  const VF radius = hn::Mul(hn::Sqrt(hn::Mul(Log(u), hn::Set(df, -2.0f))), scale);

  const VF turn = hn::ConvertTo(df, hn::ShiftRight<8>(hn::BitCast(di, angle_word)));
  const VF angle = hn::Mul(hn::Add(turn, half), hn::Set(df, normal::kAngle));
  const VF z = hn::Mul(angle, angle);
  const VF sine = hn::Add(hn::Mul(hn::Mul(Horner3(normal::kSin, z), z), angle), angle);
  VF cosine = hn::Sub(hn::Mul(Horner3(normal::kCos, z), hn::Mul(z, z)), hn::Mul(half, z));
  cosine = hn::Add(cosine, hn::Set(df, 1.0f));
  const VU sign = hn::And(hn::ShiftLeft<30>(angle_word), hn::Set(du, 0x80000000u));
  cosine = hn::BitCast(df, hn::Xor(hn::BitCast(du, cosine), sign));
  const auto swap = hn::RebindMask(df, hn::TestBit(angle_word, hn::Set(du, 1u)));
  hn::StoreU(hn::Mul(radius, hn::IfThenElse(swap, sine, cosine)), df, out);
  hn::StoreU(hn::Mul(radius, hn::IfThenElse(swap, cosine, sine)), df, out + kNormalBlock / 4);
}

HWY_INLINE void Block(uint64_t key, uint64_t stream, uint64_t block, VF scale, float* out) {
  const DU du;
  for (size_t lane = 0; lane < kNormalBlock / 4; lane += hn::Lanes(du)) {
    const PhiloxWords<DU> words = PhiloxBlocks(du, key, stream, block * (kNormalBlock / 4) + lane);
    StorePair(words.w0, words.w1, scale, out + lane);
    StorePair(words.w2, words.w3, scale, out + kNormalBlock / 2 + lane);
  }
}

void FillNormalTarget(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n) {
  const VF scales = hn::Set(DF(), scale);
  const size_t whole = n / kNormalBlock;
  for (size_t b = 0; b < whole; ++b) Block(key, stream, first_block + b, scales, out + b * kNormalBlock);
  if (const size_t rest = n % kNormalBlock; rest > 0) {
    float numbers[kNormalBlock];
    Block(key, stream, first_block + whole, scales, numbers);
    std::memcpy(out + whole * kNormalBlock, numbers, rest * sizeof(float));
  }
}
#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(FillNormalTarget);
}  // namespace

void FillNormal(uint64_t key, uint64_t stream, uint64_t first_block, float scale, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(FillNormalTarget)(key, stream, first_block, scale, out, n);
}

}  // namespace stablelm
#endif  // HWY_ONCE
