#include "ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/error.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
size_t LanesOfTarget() { return hwy::HWY_NAMESPACE::Lanes(hwy::HWY_NAMESPACE::ScalableTag<float>()); }
}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {

HWY_EXPORT(LanesOfTarget);

std::string LowerName(int64_t target) {
  std::string name = hwy::TargetName(target);
  for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return name;
}

// Lower bits are better targets.
std::vector<int64_t> Bits(int64_t mask) {
  std::vector<int64_t> bits;
  for (int64_t rest = mask; rest != 0; rest &= rest - 1) bits.push_back(rest & -rest);
  return bits;
}

std::vector<std::string> Names(int64_t mask) {
  std::vector<std::string> names;
  for (const int64_t bit : Bits(mask)) names.push_back(LowerName(bit));
  return names;
}

int64_t Usable() {
  hwy::SetSupportedTargetsForTest(0);
  return hwy::SupportedTargets() & HWY_TARGETS;
}

}  // namespace

std::vector<std::string> BuiltSimdTargets() { return Names(HWY_TARGETS); }

std::vector<std::string> UsableSimdTargets() {
  const std::string in_use = SimdTargetInUse();
  const std::vector<std::string> names = Names(Usable());
  SelectSimdTarget(in_use);
  return names;
}

std::string SimdTargetInUse() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return LowerName(Bits(hwy::SupportedTargets() & HWY_TARGETS).front());
}

void SelectSimdTarget(std::string_view name) {
  const int64_t usable = Usable();
  if (name.empty()) {
    hwy::GetChosenTarget().Update(usable);
    return;
  }
  for (const int64_t bit : Bits(usable)) {
    if (LowerName(bit) != name) continue;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    return;
  }
  throw Error({.where = "STABLELM_SIMD",
               .what = "this machine cannot use the SIMD target " + Quoted(name),
               .found = {},
               .expected = "one of " + Joined(Names(usable)),
               .hint = "unset it to let the program choose the best"});
}

size_t SimdLanes() { return HWY_DYNAMIC_DISPATCH(LanesOfTarget)(); }

}  // namespace stablelm
#endif  // HWY_ONCE
