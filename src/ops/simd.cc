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

// Lower bits are better targets.
std::vector<int64_t> Bits(int64_t mask) {
  std::vector<int64_t> bits;
  for (int64_t rest = mask; rest != 0; rest &= rest - 1) bits.push_back(rest & -rest);
  return bits;
}

// What a target may use on some machines beside its own instructions and the one for four products of bytes and their
// sum, which all of them have. Every machine with AMX or AVX512_BF16 has VNNI.
enum class Beside : uint8_t { kNothing, kBf16, kTiles };
struct Variant {
  int64_t target;
  const char* name;
  Beside beside;
};
constexpr Variant kVariants[] = {{HWY_AVX3, "avx3_amx", Beside::kTiles},
                                 {HWY_AVX3, "avx3_bf16", Beside::kBf16},
                                 {HWY_AVX3, "avx3_vnni", Beside::kNothing},
                                 {HWY_AVX2, "avx2_vnni", Beside::kNothing},
                                 {HWY_NEON, "neon_dot", Beside::kNothing}};

// Whether this machine has the variant of a target that it can run.
bool MachineHas([[maybe_unused]] const Variant& variant) {
#if HWY_ARCH_X86
  if (variant.target == HWY_AVX3) {
    if (!__builtin_cpu_supports("avx512vnni")) return false;
    if (variant.beside == Beside::kTiles) return AmxUsable();
    return variant.beside == Beside::kNothing || __builtin_cpu_supports("avx512bf16");
  }
  if (variant.target != HWY_AVX2) return false;
  // AVX-VNNI, which compilers do not ask for yet: leaf 7 says how many parts it has, bit 4 of EAX of part 1 is it. The
  // operating system has nothing to add to what AVX2 needs.
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

// vdpbf16ps does twice the multiply-adds of an fp32 instruction on AMD's Zen 4 and 5, and takes about four times as
// long on Intel's Sapphire Rapids: 205 Gflop/s beside 385 were measured on two of its cores.
bool Bf16IsFast() {
#if HWY_ARCH_X86
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

// A target, perhaps with one of its variants.
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

// Asked once: the answer takes tens of microseconds where a virtual machine answers for the processor.
struct Machine {
  int64_t usable = 0;           // of HWY_TARGETS
  std::vector<Choice> choices;  // best first
};

const Machine& ThisMachine() {
  static const Machine machine = [] {
    hwy::SetSupportedTargetsForTest(0);
    // What the flags of the compiler promise is always there: Highway wants AES beside NEON, which nothing here needs.
    Machine found = {.usable = (hwy::SupportedTargets() | HWY_STATIC_TARGET) & HWY_TARGETS, .choices = {}};
    for (const int64_t bit : Bits(found.usable)) {
      std::vector<Choice> of_target;
      for (const Variant& v : kVariants) {
        if (v.target == bit && MachineHas(v)) of_target.push_back({bit, &v});
      }
      if (!Bf16IsFast()) {
        std::stable_partition(of_target.begin(), of_target.end(),
                              [](const Choice& choice) { return choice.variant->beside != Beside::kBf16; });
      }
      of_target.push_back({bit, nullptr});
      found.choices.insert(found.choices.end(), of_target.begin(), of_target.end());
    }
    return found;
  }();
  return machine;
}

// The one choice per process, beside Highway's own: of the machine's, 0 is the best.
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
bool Bf16InUse() { return InUse().variant != nullptr && InUse().variant->beside == Beside::kBf16; }
bool TilesInUse() { return InUse().variant != nullptr && InUse().variant->beside == Beside::kTiles; }

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

}  // namespace stablelm
#endif  // HWY_ONCE
