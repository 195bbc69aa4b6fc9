#include "cli/app/version.h"

#include <nlohmann/json.hpp>

#include "base/version_info.h"
#include "ops/simd.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

nlohmann::ordered_json VersionInfo() {
  return {{"version", STABLELM_VERSION},
          {"commit", STABLELM_COMMIT},
          {"compiler", STABLELM_COMPILER},
          {"build_type", STABLELM_BUILD_TYPE},
          {"simd", {{"built", BuiltSimdTargets()}, {"usable", UsableSimdTargets()}, {"in_use", SimdTargetInUse()}}},
          {"unicode", TokenizerUnicodeVersion()},
          {"parts", {{"cuda", false}, {"mpi", false}, {"server", false}, {"training", false}}}};
}

std::string VersionText() {
  const nlohmann::ordered_json info = VersionInfo();
  const auto text = [&](const char* key) { return info.at(key).get<std::string>(); };
  std::string out = "stablelm " + text("version") + " (commit " + text("commit") + ")\n";
  out += "compiler  " + text("compiler") + ", " + text("build_type") + "\n";
  std::string built;
  for (const std::string& target : BuiltSimdTargets()) built += (built.empty() ? "" : ", ") + target;
  out += "simd      " + SimdTargetInUse() + " in use; built: " + built + "\n";
  out += "unicode   " + text("unicode") + "\n";
  out += "parts     ";
  std::string parts;
  for (const auto& [name, present] : info.at("parts").items()) {
    parts += (parts.empty() ? "" : ", ") + name + ": " + (present.get<bool>() ? "built" : "not built");
  }
  return out + parts + "\n";
}

}  // namespace stablelm
