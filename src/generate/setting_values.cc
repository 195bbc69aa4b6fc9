#include "generate/setting_values.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr double kMaxCount = 2147483648;  // 2^31

constexpr SettingSpec kSpecs[] = {
    {"do_sample", SettingKind::kFlag, 0, 1, false},  // draw; else the most likely token
    {"temperature", SettingKind::kReal, 0, 1e6, true}, {"top_k", SettingKind::kWhole, 0, kMaxCount, true},
    {"top_p", SettingKind::kReal, 0, 1, true},         {"max_new_tokens", SettingKind::kWhole, 1, kMaxCount, false},
};

nlohmann::ordered_json AsJson(const SettingSpec& spec, double value) {
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

}  // namespace

std::vector<SettingSpec> SettingSpecs() { return {std::begin(kSpecs), std::end(kSpecs)}; }

std::optional<SettingSpec> FindSetting(std::string_view name) {
  for (const SettingSpec& spec : kSpecs) {
    if (name == spec.name) return spec;
  }
  return std::nullopt;
}

std::vector<std::string> SettingNames() {
  std::vector<std::string> names;
  for (const SettingSpec& spec : kSpecs) names.emplace_back(spec.name);
  return names;
}

double ReadSettingValue(const nlohmann::json& value, const SettingSpec& spec, const std::string& place) {
  const auto fail = [&](const char* what, const std::string& expected) {
    throw Error({.where = place,
                 .what = what,
                 .found = Quoted(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60),
                 .expected = expected,
                 .hint = {}});
  };
  if (spec.kind == SettingKind::kFlag) {
    if (!value.is_boolean()) fail("not a flag", "true or false");
    return value.get<bool>() ? 1 : 0;
  }
  const std::string range = (spec.kind == SettingKind::kWhole ? "a whole number from " : "a number from ") +
                            ShownValue(spec, spec.min) + " to " + ShownValue(spec, spec.max);
  if (!value.is_number()) fail("not a number", range);
  const double number = value.get<double>();
  if (!(number >= spec.min && number <= spec.max)) fail("number out of range", range);
  if (spec.kind == SettingKind::kWhole && number != std::floor(number)) fail("not a whole number", range);
  return number;
}

std::string ShownValue(const SettingSpec& spec, double value) { return AsJson(spec, value).dump(); }

}  // namespace stablelm
