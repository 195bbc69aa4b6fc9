// Values of generation settings: lookup by name, reading, checking and printing. A flag is 0 or 1.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_value.h"
#include "prompt/setting_table.h"

namespace stablelm {

std::optional<SettingSpec> FindSetting(std::string_view name);
std::vector<std::string> SettingNames();  // in the order of the table

using SettingValues = std::map<std::string, double, std::less<>>;

// Whether values without do_sample imply sampling: true for a temperature above 0, false for temperature 0; without a
// temperature true for any setting that only sampling uses (top-k, ...). No value when do_sample is set or nothing
// decides it.
std::optional<bool> AsksForSampling(const SettingValues& values);

// Throws Error that names `place`, the found value and the range, unless the value is valid for the setting.
void CheckSettingValue(double value, const SettingSpec& spec, const std::string& place);

// Reads the value of a setting from JSON. Throws Error that names `place`, the found value and the range.
double ReadSettingValue(const nlohmann::json& value, const SettingSpec& spec, const std::string& place);

// The value as JSON: a real or whole number, or true and false.
JsonValue SettingJson(const SettingSpec& spec, double value);
// The same as text: "0.7", "50", "true".
std::string ShownValue(const SettingSpec& spec, double value);

}  // namespace stablelm
