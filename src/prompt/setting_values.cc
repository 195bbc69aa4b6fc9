#include "prompt/setting_values.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"
#include "base/strict_json.h"

namespace stablelm {

std::optional<SettingSpec> FindSetting(std::string_view name) {
  for (const SettingSpec& spec : kSettings) {
    if (name == spec.name) return spec;
  }
  return std::nullopt;
}

std::vector<std::string> SettingNames() {
  std::vector<std::string> names;
  for (const SettingSpec& spec : kSettings) names.emplace_back(spec.name);
  return names;
}

std::optional<bool> AsksForSampling(const SettingValues& values) {
  if (values.contains("do_sample")) return std::nullopt;
  if (const auto temperature = values.find("temperature"); temperature != values.end()) return temperature->second > 0;
  for (const auto& [name, value] : values) {
    if (FindSetting(name)->sampling_only) return true;
  }
  return std::nullopt;
}

namespace {

std::string RangeOf(const SettingSpec& spec) {
  return (spec.kind == SettingKind::kWhole ? "a whole number from " : "a number from ") + ShownValue(spec, spec.min) +
         " to " + ShownValue(spec, spec.max);
}

// `shown`: the value as it was written.
void CheckValue(double value, const SettingSpec& spec, const std::string& place, const std::string& shown) {
  const auto fail = [&](const char* what) {
    throw Error({.where = place, .what = what, .found = shown, .expected = RangeOf(spec)});
  };
  if (!(value >= spec.min && value <= spec.max)) fail("number out of range");
  if (spec.kind != SettingKind::kReal && value != std::floor(value)) fail("not a whole number");
}

}  // namespace

void CheckSettingValue(double value, const SettingSpec& spec, const std::string& place) {
  CheckValue(value, spec, place, NumberText(value));
}

double ReadSettingValue(const nlohmann::json& value, const SettingSpec& spec, const std::string& place) {
  const auto fail = [&](const char* what, const std::string& expected) {
    throw Error({.where = place, .what = what, .found = ShownJson(value), .expected = expected});
  };
  if (spec.kind == SettingKind::kFlag) {
    if (!value.is_boolean()) fail("not a flag", "true or false");
    return value.get<bool>() ? 1 : 0;
  }
  if (!value.is_number()) fail("not a number", RangeOf(spec));
  const double number = value.get<double>();
  CheckValue(number, spec, place, ShownJson(value));
  return number;
}

JsonValue SettingJson(const SettingSpec& spec, double value) {
  switch (spec.kind) {
    case SettingKind::kReal:
      return value;
    case SettingKind::kWhole:
      return static_cast<int64_t>(value);
    case SettingKind::kFlag:
      return value != 0;
  }
  STABLELM_CHECK(false);
}

std::string ShownValue(const SettingSpec& spec, double value) { return SettingJson(spec, value).Dump(); }

}  // namespace stablelm
