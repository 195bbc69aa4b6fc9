#include "ops/simd.h"

#include <atomic>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

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

// Targets with a variant that has an instruction for four products of bytes and their sum, and its name.
struct Variant {
  int64_t target;
  const char* name;
};
constexpr Variant kVariants[] = {{HWY_AVX3, "avx3_vnni"}, {HWY_AVX2, "avx2_vnni"}, {HWY_NEON, "neon_dot"}};

const Variant* VariantOf(int64_t target) {
  for (const Variant& v : kVariants) {
    if (v.target == target) return &v;
  }
  return nullptr;
}

// Whether this machine has the variant of a target that it can run.
bool MachineHasVariant([[maybe_unused]] int64_t target) {
#if HWY_ARCH_X86
  if (target == HWY_AVX3) return __builtin_cpu_supports("avx512vnni") != 0;
  if (target != HWY_AVX2) return false;
  // AVX-VNNI, which compilers do not ask for yet: leaf 7 says how many parts it has, bit 4 of EAX of part 1 is it. The
  // operating system has nothing to add to what AVX2 needs.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || a < 1) return false;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1) != 0;
#elif defined(__ARM_FEATURE_DOTPROD)
  return target == HWY_NEON;
#elif HWY_ARCH_ARM_A64 && HWY_COMPILER_GCC_ACTUAL && defined(__linux__)
  return target == HWY_NEON && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

std::vector<std::string> Names(int64_t mask, bool (*has_variant)(int64_t)) {
  std::vector<std::string> names;
  for (const int64_t bit : Bits(mask)) {
    if (const Variant* v = VariantOf(bit); v && has_variant(bit)) names.push_back(v->name);
    names.push_back(LowerName(bit));
  }
  return names;
}

// Part of the one choice per process, beside Highway's own.
std::atomic<bool> variants_refused = false;

// What the flags of the compiler promise is always there: Highway wants AES beside NEON, which nothing here needs.
int64_t Supported() { return (hwy::SupportedTargets() | HWY_STATIC_TARGET) & HWY_TARGETS; }

int64_t Usable() {
  hwy::SetSupportedTargetsForTest(0);
  return Supported();
}

int64_t BestSupported() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return Bits(Supported()).front();
}

}  // namespace

std::vector<std::string> BuiltSimdTargets() {
  return Names(HWY_TARGETS, [](int64_t) { return true; });
}

std::vector<std::string> UsableSimdTargets() {
  const std::string in_use = SimdTargetInUse();
  const std::vector<std::string> names = Names(Usable(), MachineHasVariant);
  SelectSimdTarget(in_use);
  return names;
}

std::string SimdTargetInUse() {
  const int64_t best = BestSupported();
  return ByteDotsInUse() ? VariantOf(best)->name : LowerName(best);
}

bool ByteDotsInUse() {
  const int64_t best = BestSupported();
  return !variants_refused && VariantOf(best) && MachineHasVariant(best);
}

void SelectSimdTarget(std::string_view name) {
  const int64_t usable = Usable();
  variants_refused = false;
  if (name.empty()) {
    hwy::GetChosenTarget().Update(usable);
    return;
  }
  for (const int64_t bit : Bits(usable)) {
    const Variant* const variant = VariantOf(bit);
    const bool wants_variant = variant && variant->name == name && MachineHasVariant(bit);
    if (!wants_variant && LowerName(bit) != name) continue;
    variants_refused = !wants_variant;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    return;
  }
  throw Error({.where = "STABLELM_SIMD",
               .what = "this machine cannot use the SIMD target " + Quoted(name),
               .found = {},
               .expected = "one of " + Joined(Names(usable, MachineHasVariant)),
               .hint = "unset it to let the program choose the best"});
}

size_t SimdLanes() { return HWY_DYNAMIC_DISPATCH(LanesOfTarget)(); }

}  // namespace stablelm
#endif  // HWY_ONCE
