// Philox4x32-10 (base/random.h) of consecutive counters, one in each lane. Included once per SIMD target. Not for the
// scalar target.
#if defined(STABLELM_OPS_RANDOM_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_OPS_RANDOM_PHILOX_INL_H_
#undef STABLELM_OPS_RANDOM_PHILOX_INL_H_
#else
#define STABLELM_OPS_RANDOM_PHILOX_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
// The counters of every other lane. Each word is in the low half of a 64-bit lane, the high half is garbage, so the
// 64-bit products need no shuffles.
template <class VW>
struct PhiloxCounters {
  VW c0, c1, c2, c3;
};

template <class DU, class DW = hwy::HWY_NAMESPACE::RepartitionToWide<DU>, class VW = hwy::HWY_NAMESPACE::Vec<DW>>
HWY_INLINE PhiloxCounters<VW> PhiloxRounds(DU du, VW index, uint64_t key, uint64_t stream) {
  namespace hn = hwy::HWY_NAMESPACE;
  const DW dw;
  const auto m0 = hn::Set(du, 0xD2511F53u), m1 = hn::Set(du, 0xCD9E8D57u);
  PhiloxCounters<VW> c = {index, hn::ShiftRight<32>(index), hn::Set(dw, stream & 0xFFFFFFFFu),
                          hn::Set(dw, stream >> 32)};
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

// The four words of Philox::Block(stream, index + lane).
template <class DU>
struct PhiloxWords {
  hwy::HWY_NAMESPACE::Vec<DU> w0, w1, w2, w3;
};

template <class DU>
HWY_INLINE PhiloxWords<DU> PhiloxBlocks(DU du, uint64_t key, uint64_t stream, uint64_t index) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RepartitionToWide<DU> dw;
  const auto even = hn::Add(hn::ShiftLeft<1>(hn::Iota(dw, 0)), hn::Set(dw, index));
  const auto e = PhiloxRounds(du, even, key, stream);
  const auto o = PhiloxRounds(du, hn::Add(even, hn::Set(dw, uint64_t{1})), key, stream);
  const auto join = [du](auto low, auto high) HWY_ATTR {
    return hn::OddEven(hn::BitCast(du, hn::ShiftLeft<32>(high)), hn::BitCast(du, low));
  };
  return {join(e.c0, o.c0), join(e.c1, o.c1), join(e.c2, o.c2), join(e.c3, o.c3)};
}
#endif

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
