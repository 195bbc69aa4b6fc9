// Values of the generation settings: looked up by name, read, checked and shown. A flag is 0 or 1.
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

// Whether values that do not name do_sample ask for sampling: a temperature above 0 does, or without a temperature
// another setting that only sampling uses (top-k, ...). No value when they say nothing about it.
std::optional<bool> AsksForSampling(const SettingValues& values);

// Throws Error that names `place`, what was found and the range, unless the value is one of the setting's.
void CheckSettingValue(double value, const SettingSpec& spec, const std::string& place);

// The value of a setting in a JSON file. Throws Error that names `place`, what was found and the range.
double ReadSettingValue(const nlohmann::json& value, const SettingSpec& spec, const std::string& place);

// The value as JSON: a real or whole number, or true and false.
JsonValue SettingJson(const SettingSpec& spec, double value);
// The same as text: "0.7", "50", "true".
std::string ShownValue(const SettingSpec& spec, double value);

}  // namespace stablelm
