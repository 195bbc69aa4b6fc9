// Presets: named sets of settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/setting_values.h"

namespace stablelm {

// Sources: the model card (plus transformers' default top-k of 50, which the card leaves implicit), Stability AI's
// notebook, Stability AI's chat Space.
enum class Preset : uint8_t { kCard, kNotebook, kSpace, kGreedy };
const char* NameOf(Preset preset);  // "card", "notebook", "space", "greedy"
std::vector<std::string> PresetNames();
std::optional<Preset> PresetOf(std::string_view name);
SettingValues ValuesOf(Preset preset);

}  // namespace stablelm
