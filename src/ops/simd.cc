#include "ops/simd.h"

#include <algorithm>
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
#include "ops/cpu/amx.h"

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

// The targets in a mask, best first: lower bits are better targets.
std::vector<int64_t> Bits(int64_t mask) {
  std::vector<int64_t> bits;
  for (int64_t rest = mask; rest != 0; rest &= rest - 1) bits.push_back(rest & -rest);
  return bits;
}

// Instruction-set extension that a Highway target does not imply, besides the dot product of four bytes, which all
// variants have. Every machine with AMX or AVX512_BF16 has VNNI.
enum class Extension : uint8_t { kNone, kBf16, kTiles };
struct Variant {
  int64_t target;
  const char* name;
  Extension extension;
};
constexpr Variant kVariants[] = {{HWY_AVX3, "avx3_amx", Extension::kTiles},
                                 {HWY_AVX3, "avx3_bf16", Extension::kBf16},
                                 {HWY_AVX3, "avx3_vnni", Extension::kNone},
                                 {HWY_AVX2, "avx2_vnni", Extension::kNone},
                                 {HWY_NEON, "neon_dot", Extension::kNone}};

// Whether this machine has the variant of a target that it can run.
bool MachineHas([[maybe_unused]] const Variant& variant) {
#if HWY_ARCH_X86
  if (variant.target == HWY_AVX3) {
    if (!__builtin_cpu_supports("avx512vnni")) return false;
    if (variant.extension == Extension::kTiles) return AmxUsable();
    return variant.extension == Extension::kNone || __builtin_cpu_supports("avx512bf16");
  }
  if (variant.target != HWY_AVX2) return false;
  // AVX-VNNI, which __builtin_cpu_supports does not know yet: CPUID leaf 7 gives the number of its subleaves, and bit 4
  // of EAX of subleaf 1 is the flag. It needs no more support by the operating system than AVX2.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || a < 1) return false;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1) != 0;
#elif defined(__ARM_FEATURE_DOTPROD)
  return variant.target == HWY_NEON;
#elif HWY_ARCH_ARM_A64 && HWY_COMPILER_GCC_ACTUAL && defined(__linux__)
  return variant.target == HWY_NEON && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

// vdpbf16ps does twice the multiply-adds of an fp32 instruction on AMD's Zen 4 and 5, but takes about four times as
// long on Intel's Sapphire Rapids: measured on two of its cores, 205 Gflop/s against 385 with fp32.
bool Bf16IsFast() {
#if HWY_ARCH_X86
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

// Intel's cores wait for few cache lines at a time at their first level (16) and for three times as many at the second.
// Where memory is fast, on AMD's Zen 5, asking twice costs more than it gains: from the second cache level Q8_0 fell
// from 170 to 126 GB/s.
bool FarPrefetchHelps() {
#if HWY_ARCH_X86
  __builtin_cpu_init();  // called before main
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

// A target, optionally with one of its variants.
struct Choice {
  int64_t target = 0;
  const Variant* variant = nullptr;

  std::string Name() const { return variant ? variant->name : LowerName(target); }
};

std::vector<std::string> Names(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.push_back(choice.Name());
  return names;
}

// Queried once: in a virtual machine, where CPUID may be emulated, a query takes tens of microseconds.
struct Machine {
  int64_t usable = 0;           // of HWY_TARGETS
  std::vector<Choice> choices;  // best first
};

const Machine& ThisMachine() {
  static const Machine machine = [] {
    hwy::SetSupportedTargetsForTest(0);
    // Targets that the compiler flags guarantee are always usable: Highway requires AES with NEON, which nothing here
    // needs.
    Machine found = {.usable = (hwy::SupportedTargets() | HWY_STATIC_TARGET) & HWY_TARGETS, .choices = {}};
    for (const int64_t bit : Bits(found.usable)) {
      std::vector<Choice> of_target;
      for (const Variant& v : kVariants) {
        if (v.target == bit && MachineHas(v)) of_target.push_back({bit, &v});
      }
      if (!Bf16IsFast()) {
        std::stable_partition(of_target.begin(), of_target.end(),
                              [](const Choice& choice) { return choice.variant->extension != Extension::kBf16; });
      }
      of_target.push_back({bit, nullptr});
      found.choices.insert(found.choices.end(), of_target.begin(), of_target.end());
    }
    return found;
  }();
  return machine;
}

// Index into the machine's choices, 0 the best. One per process, next to Highway's own selection.
std::atomic<size_t> chosen = 0;

const Choice& InUse() { return ThisMachine().choices[chosen]; }

}  // namespace

std::vector<std::string> BuiltSimdTargets() {
  std::vector<Choice> choices;
  for (const int64_t bit : Bits(HWY_TARGETS)) {
    for (const Variant& v : kVariants) {
      if (v.target == bit) choices.push_back({bit, &v});
    }
    choices.push_back({bit, nullptr});
  }
  return Names(choices);
}

std::vector<std::string> UsableSimdTargets() { return Names(ThisMachine().choices); }

std::string SimdTargetInUse() { return InUse().Name(); }

bool ByteDotsInUse() { return InUse().variant != nullptr; }
bool Bf16InUse() { return InUse().variant != nullptr && InUse().variant->extension == Extension::kBf16; }
bool TilesInUse() { return InUse().variant != nullptr && InUse().variant->extension == Extension::kTiles; }

void SelectSimdTarget(std::string_view name) {
  const Machine& machine = ThisMachine();
  if (name.empty()) {
    chosen = 0;
    hwy::GetChosenTarget().Update(machine.usable);
    return;
  }
  for (size_t i = 0; i < machine.choices.size(); ++i) {
    if (machine.choices[i].Name() != name) continue;
    chosen = i;
    hwy::GetChosenTarget().Update(machine.choices[i].target);
    return;
  }
  throw Error({.where = "STABLELM_SIMD",
               .what = "this machine cannot use the SIMD target " + Quoted(name),
               .expected = "one of " + Joined(UsableSimdTargets()),
               .hint = "unset it to let the program choose the best"});
}

size_t SimdLanes() { return HWY_DYNAMIC_DISPATCH(LanesOfTarget)(); }

bool internal::far_prefetch = FarPrefetchHelps();
void SelectFarPrefetch(std::optional<bool> far) { internal::far_prefetch = far.value_or(FarPrefetchHelps()); }

}  // namespace stablelm
#endif  // HWY_ONCE
