#include "ops/simd.h"

#include <atomic>

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

constexpr char kVnniName[] = "avx3_vnni";

std::vector<std::string> Names(int64_t mask, bool vnni) {
  std::vector<std::string> names;
  for (const int64_t bit : Bits(mask)) {
    if (bit == HWY_AVX3 && vnni) names.push_back(kVnniName);
    names.push_back(LowerName(bit));
  }
  return names;
}

bool MachineHasVnni() {
#if HWY_ARCH_X86
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

// Part of the one choice per process, beside Highway's own.
std::atomic<bool> vnni_refused = false;
// VnniInUse, once it was found out: asking the processor takes tens of microseconds in a virtual machine.
enum class Known : uint8_t { kNot, kNo, kYes };
std::atomic<Known> vnni_in_use = Known::kNot;

int64_t Usable() {
  hwy::SetSupportedTargetsForTest(0);
  return hwy::SupportedTargets() & HWY_TARGETS;
}

}  // namespace

std::vector<std::string> BuiltSimdTargets() { return Names(HWY_TARGETS, true); }

std::vector<std::string> UsableSimdTargets() {
  const std::string in_use = SimdTargetInUse();
  const std::vector<std::string> names = Names(Usable(), MachineHasVnni());
  SelectSimdTarget(in_use);
  return names;
}

std::string SimdTargetInUse() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  const int64_t best = Bits(hwy::SupportedTargets() & HWY_TARGETS).front();
  return best == HWY_AVX3 && MachineHasVnni() && !vnni_refused ? kVnniName : LowerName(best);
}

bool VnniInUse() {
  Known known = vnni_in_use.load(std::memory_order_relaxed);
  if (known == Known::kNot) {
    known = SimdTargetInUse() == kVnniName ? Known::kYes : Known::kNo;
    vnni_in_use.store(known, std::memory_order_relaxed);
  }
  return known == Known::kYes;
}

void SelectSimdTarget(std::string_view name) {
  const int64_t usable = Usable();
  vnni_in_use = Known::kNot;
  vnni_refused = name == LowerName(HWY_AVX3);
  const bool wants_vnni = name == kVnniName && MachineHasVnni();
  if (name.empty()) {
    hwy::GetChosenTarget().Update(usable);
    return;
  }
  for (const int64_t bit : Bits(usable)) {
    if (LowerName(bit) != name && !(wants_vnni && bit == HWY_AVX3)) continue;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    return;
  }
  throw Error({.where = "STABLELM_SIMD",
               .what = "this machine cannot use the SIMD target " + Quoted(name),
               .found = {},
               .expected = "one of " + Joined(Names(usable, MachineHasVnni())),
               .hint = "unset it to let the program choose the best"});
}

size_t SimdLanes() { return HWY_DYNAMIC_DISPATCH(LanesOfTarget)(); }

}  // namespace stablelm
#endif  // HWY_ONCE
