#include "prompt/presets.h"

#include "base/error.h"

namespace stablelm {
namespace {

constexpr Preset kPresets[] = {Preset::kCard, Preset::kNotebook, Preset::kSpace, Preset::kGreedy};

}  // namespace

const char* NameOf(Preset preset) {
  switch (preset) {
    case Preset::kCard:
      return "card";
    case Preset::kNotebook:
      return "notebook";
    case Preset::kSpace:
      return "space";
    case Preset::kGreedy:
      return "greedy";
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const Preset preset : kPresets) names.emplace_back(NameOf(preset));
  return names;
}

std::optional<Preset> PresetOf(std::string_view name) {
  for (const Preset preset : kPresets) {
    if (name == NameOf(preset)) return preset;
  }
  return std::nullopt;
}

SettingValues ValuesOf(Preset preset) {
  switch (preset) {
    case Preset::kCard:
      return {{"do_sample", 1}, {"temperature", 0.7}, {"top_k", 50}, {"top_p", 1}};
    case Preset::kNotebook:
      return {{"do_sample", 1}, {"temperature", 0.7}, {"top_k", 0}, {"top_p", 0.9}};
    case Preset::kSpace:
      return {{"do_sample", 1}, {"temperature", 1}, {"top_k", 1000}, {"top_p", 0.95}};
    case Preset::kGreedy:
      return {{"do_sample", 0}};
  }
  STABLELM_CHECK(false);
}

}  // namespace stablelm
