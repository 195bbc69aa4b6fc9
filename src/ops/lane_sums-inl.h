// The lanes of several vectors summed at once, in the order of Highway's SumOfLanes: lane l and lane l + L/2 are added,
// then l and l + L/4, until one is left. One after the other costs log2(L) additions for each vector, together about
// one.
#if defined(STABLELM_LANE_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STABLELM_LANE_SUMS_INL_H_
#undef STABLELM_LANE_SUMS_INL_H_
#else
#define STABLELM_LANE_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {

// The step of the tree where lanes `kDistance` apart are added, for a and b together: the sums of a stay where they
// are, those of b go `kDistance` lanes up.
template <size_t kDistance, class D, class V>
HWY_INLINE V AddLanesApart(D d, V a, V b) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  (void)d, (void)b;
  return a;
#else
  constexpr size_t kLanes = hn::MaxLanes(D());
  if constexpr (kDistance == 1) {
    return hn::Add(hn::OddEven(hn::DupEven(b), a), hn::OddEven(b, hn::DupOdd(a)));
  } else if constexpr (kDistance == 2) {
    const hn::Repartition<double, D> pairs;
    const auto a2 = hn::BitCast(pairs, a), b2 = hn::BitCast(pairs, b);
    return hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, a2, b2)),
                   hn::BitCast(d, hn::InterleaveUpper(pairs, a2, b2)));
  } else if constexpr (kDistance * 2 == kLanes) {
    return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  } else {
    static_assert(kDistance == 4);
    return hn::Add(hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a), hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a)));
  }
#endif
}

// Lane j of the result is the sum of the lanes of load(j): the vectors j < kCount, for the others it is zero.
template <size_t kCount, size_t kDistance = 1, class D, class Load>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> SumsOfLanes(D d, const Load& load, size_t j = 0) {
  namespace hn = hwy::HWY_NAMESPACE;
  constexpr size_t kLanes = hn::MaxLanes(D());
  static_assert(kLanes <= 16 && (kLanes & (kLanes - 1)) == 0);
  if constexpr (kDistance == kLanes) {
    return j < kCount ? load(j) : hn::Zero(d);
  } else {
    return AddLanesApart<kDistance>(d, SumsOfLanes<kCount, 2 * kDistance>(d, load, j),
                                    SumsOfLanes<kCount, 2 * kDistance>(d, load, j + kDistance));
  }
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
