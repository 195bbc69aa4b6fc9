#include "cli/app/version.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_value.h"
#include "base/version_info.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "ops/simd.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

// The types of weights that products are computed with.
std::vector<std::string> WeightTypes() {
  std::vector<std::string> names = {"fp32", "fp16", "bf16"};
  for (const QuantMix& mix : QuantMixes()) {
    if (IsQuantized(mix.base)) names.emplace_back(mix.name);
  }
  return names;
}

std::vector<std::string> DecodedTypes() {
  std::vector<std::string> names;
  for (size_t i = 0; i <= static_cast<size_t>(DType::kIQ4_XS); ++i) {  // the last one
    if (IsDecodeOnly(static_cast<DType>(i))) names.emplace_back(NameOf(static_cast<DType>(i)));
  }
  return names;
}

}  // namespace

JsonValue VersionInfo() {
  return {{"version", STABLELM_VERSION},
          {"commit", STABLELM_COMMIT},
          {"compiler", STABLELM_COMPILER},
          {"build_type", STABLELM_BUILD_TYPE},
          {"simd", {{"built", BuiltSimdTargets()}, {"usable", UsableSimdTargets()}, {"in_use", SimdTargetInUse()}}},
          {"unicode", TokenizerUnicodeVersion()},
          {"reads", {"Hugging Face folders (safetensors, PyTorch .bin)", "GGUF"}},
          {"weights", WeightTypes()},
          {"decoded_on_load", DecodedTypes()},
          {"cache", {"fp32", "fp16", "q8"}},
          {"training", {"fp32", "bf16", "fp16"}}};
}

std::string VersionText() {
  const JsonValue info = VersionInfo();
  const auto text = [&](const char* key) { return info.At(key).Text(); };
  std::string out = "stablelm " + text("version") + " (commit " + text("commit") + ")\n";
  out += "compiler  " + text("compiler") + ", " + text("build_type") + "\n";
  std::string built;
  for (const std::string& target : BuiltSimdTargets()) built += (built.empty() ? "" : ", ") + target;
  out += "simd      " + SimdTargetInUse() + " in use; built: " + built + "\n";
  out += "unicode   " + text("unicode") + "\n";
  const auto list = [&](const char* label, const char* key) {
    std::vector<std::string> words;
    for (const JsonValue& word : info.At(key).items()) words.push_back(word.Text());
    return std::string(label) + Joined(words) + "\n";
  };
  return out + list("reads     ", "reads") + list("weights   ", "weights") +
         list("          decoded while loading: ", "decoded_on_load") + list("cache     ", "cache") +
         list("training  ", "training");
}

}  // namespace stablelm
