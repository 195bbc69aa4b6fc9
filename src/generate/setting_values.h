// The generation settings that files and options may give: their names, their ranges, and sets of their values.
//
// do_sample, every number of generate/sampling/sampling_options.h by its name, max_new_tokens. A flag is 0 or 1.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_value.h"

namespace stablelm {

enum class SettingKind : uint8_t { kReal, kWhole, kFlag };

struct SettingSpec {
  std::string_view name;
  SettingKind kind = SettingKind::kReal;
  double min = 0, max = 0;  // both allowed
  bool draws = false;       // has a meaning only when tokens are drawn: asking for it asks for draws
};

// In the order in which they are shown.
std::vector<SettingSpec> SettingSpecs();
std::optional<SettingSpec> FindSetting(std::string_view name);
std::vector<std::string> SettingNames();

using SettingValues = std::map<std::string, double, std::less<>>;

// Throws Error that names `place`, what was found and the range, unless the value is one of the setting's.
void CheckSettingValue(double value, const SettingSpec& spec, const std::string& place);

// The value of a setting in a JSON file. Throws Error that names `place`, what was found and the range.
double ReadSettingValue(const nlohmann::json& value, const SettingSpec& spec, const std::string& place);

// The value as JSON: a real or whole number, or true and false.
JsonValue SettingJson(const SettingSpec& spec, double value);
// The same as text: "0.7", "50", "true".
std::string ShownValue(const SettingSpec& spec, double value);

}  // namespace stablelm
