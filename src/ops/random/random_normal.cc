#include "ops/random/random_normal.h"

#include <cstring>

#include "ops/random/random_normal_constants.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/random/random_normal.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

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
using DW = hn::RepartitionToWide<DU>;  // 64-bit lanes
using VU = hn::Vec<DU>;
using VF = hn::Vec<DF>;
using VW = hn::Vec<DW>;

// The counters of every other lane. Each word is in the low half of a 64-bit lane, the high half is garbage, so the
// 64-bit products need no shuffles.
struct Counters {
  VW c0, c1, c2, c3;
};

HWY_INLINE Counters Rounds(DW dw, VW index, uint64_t key, uint64_t stream) {
  const DU du;
  const VU m0 = hn::Set(du, 0xD2511F53u), m1 = hn::Set(du, 0xCD9E8D57u);
  Counters c = {index, hn::ShiftRight<32>(index), hn::Set(dw, stream & 0xFFFFFFFFu), hn::Set(dw, stream >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const VW p0 = hn::MulEven(hn::BitCast(du, c.c0), m0);
    const VW p1 = hn::MulEven(hn::BitCast(du, c.c2), m1);
    c.c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c.c1), hn::Set(dw, uint64_t{k0}));
    c.c1 = p1;
    c.c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c.c3), hn::Set(dw, uint64_t{k1}));
    c.c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

HWY_INLINE VU Join(VW even, VW odd) {
  const DU du;
  return hn::OddEven(hn::BitCast(du, hn::ShiftLeft<32>(odd)), hn::BitCast(du, even));
}

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
  const DW dw;
  const VW twice = hn::ShiftLeft<1>(hn::Iota(dw, 0));
  for (size_t lane = 0; lane < kNormalBlock / 4; lane += hn::Lanes(du)) {
    const VW even = hn::Add(twice, hn::Set(dw, block * (kNormalBlock / 4) + lane));
    const Counters e = Rounds(dw, even, key, stream);
    const Counters o = Rounds(dw, hn::Add(even, hn::Set(dw, uint64_t{1})), key, stream);
    StorePair(Join(e.c0, o.c0), Join(e.c1, o.c1), scale, out + lane);
    StorePair(Join(e.c2, o.c2), Join(e.c3, o.c3), scale, out + kNormalBlock / 2 + lane);
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
