#include "cli/app/version.h"

#include "base/json_value.h"
#include "base/version_info.h"
#include "ops/simd.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

JsonValue VersionInfo() {
  return {{"version", STABLELM_VERSION},
          {"commit", STABLELM_COMMIT},
          {"compiler", STABLELM_COMPILER},
          {"build_type", STABLELM_BUILD_TYPE},
          {"simd", {{"built", BuiltSimdTargets()}, {"usable", UsableSimdTargets()}, {"in_use", SimdTargetInUse()}}},
          {"unicode", TokenizerUnicodeVersion()},
          {"parts", {{"cuda", false}, {"mpi", false}, {"server", false}, {"training", false}}}};
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
  out += "parts     ";
  std::string parts;
  const JsonValue& all = info.At("parts");
  for (size_t i = 0; i < all.size(); ++i) {
    parts += (parts.empty() ? "" : ", ") + all.names()[i] + ": " + (all.items()[i].Bool() ? "built" : "not built");
  }
  return out + parts + "\n";
}

}  // namespace stablelm
