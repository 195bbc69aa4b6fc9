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

// Asked once: the answer takes tens of microseconds where a virtual machine answers for the processor.
struct Machine {
  int64_t usable = 0;    // of HWY_TARGETS
  int64_t variants = 0;  // those of them whose variant it has
};

const Machine& ThisMachine() {
  static const Machine machine = [] {
    hwy::SetSupportedTargetsForTest(0);
    // What the flags of the compiler promise is always there: Highway wants AES beside NEON, which nothing here needs.
    Machine found = {.usable = (hwy::SupportedTargets() | HWY_STATIC_TARGET) & HWY_TARGETS};
    for (const int64_t bit : Bits(found.usable)) {
      if (VariantOf(bit) && MachineHasVariant(bit)) found.variants |= bit;
    }
    return found;
  }();
  return machine;
}

std::vector<std::string> Names(int64_t targets, int64_t variants) {
  std::vector<std::string> names;
  for (const int64_t bit : Bits(targets)) {
    if (const Variant* const v = VariantOf(bit); v && (variants & bit) != 0) names.push_back(v->name);
    names.push_back(LowerName(bit));
  }
  return names;
}

// The one choice per process, beside Highway's own. A forced target, or 0: the best.
std::atomic<int64_t> forced = 0;
std::atomic<bool> variants_refused = false;

int64_t TargetInUse() {
  const int64_t target = forced;
  return target != 0 ? target : Bits(ThisMachine().usable).front();
}

}  // namespace

std::vector<std::string> BuiltSimdTargets() { return Names(HWY_TARGETS, HWY_TARGETS); }

std::vector<std::string> UsableSimdTargets() { return Names(ThisMachine().usable, ThisMachine().variants); }

std::string SimdTargetInUse() {
  const int64_t target = TargetInUse();
  return ByteDotsInUse() ? VariantOf(target)->name : LowerName(target);
}

bool ByteDotsInUse() { return !variants_refused && (ThisMachine().variants & TargetInUse()) != 0; }

void SelectSimdTarget(std::string_view name) {
  const Machine& machine = ThisMachine();
  if (name.empty()) {
    forced = 0;
    variants_refused = false;
    hwy::GetChosenTarget().Update(machine.usable);
    return;
  }
  for (const int64_t bit : Bits(machine.usable)) {
    const bool wants_variant = (machine.variants & bit) != 0 && VariantOf(bit)->name == name;
    if (!wants_variant && LowerName(bit) != name) continue;
    forced = bit;
    variants_refused = !wants_variant;
    hwy::GetChosenTarget().Update(bit);
    return;
  }
  throw Error({.where = "STABLELM_SIMD",
               .what = "this machine cannot use the SIMD target " + Quoted(name),
               .found = {},
               .expected = "one of " + Joined(UsableSimdTargets()),
               .hint = "unset it to let the program choose the best"});
}

size_t SimdLanes() { return HWY_DYNAMIC_DISPATCH(LanesOfTarget)(); }

}  // namespace stablelm
#endif  // HWY_ONCE
