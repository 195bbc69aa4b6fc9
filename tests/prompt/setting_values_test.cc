// The table of settings, reading and printing of values, and presets.
#include "prompt/setting_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "error_text.h"
#include "prompt/presets.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(SettingTable, EveryNameIsThereOnce) {
  std::set<std::string_view> names;
  for (const SettingSpec& spec : kSettings) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_LE(spec.min, spec.max) << spec.name;
    ASSERT_TRUE(FindSetting(spec.name)) << spec.name;
    EXPECT_EQ(FindSetting(spec.name)->max, spec.max);
  }
  EXPECT_EQ(SettingNames().size(), names.size());
  EXPECT_FALSE(FindSetting("no_such"));
}

// The printed ends of a range are read back exactly.
TEST(SettingValues, WhatIsShownIsReadBack) {
  for (const SettingSpec& spec : kSettings) {
    for (const double value : {spec.min, spec.max}) {
      EXPECT_EQ(ReadSettingValue(nlohmann::json::parse(ShownValue(spec, value)), spec, "x"), value) << spec.name;
    }
    EXPECT_THAT(ErrorText([&] { CheckSettingValue(spec.max + 1, spec, "x"); }), HasSubstr("x: number out of range"))
        << spec.name;
  }
}

TEST(SettingValues, SomeAskForSampling) {
  EXPECT_EQ(AsksForSampling({}), std::nullopt);
  EXPECT_EQ(AsksForSampling({{"max_new_tokens", 5}}), std::nullopt);
  EXPECT_EQ(AsksForSampling({{"top_k", 5}}), true);
  EXPECT_EQ(AsksForSampling({{"temperature", 0.5}}), true);
  EXPECT_EQ(AsksForSampling({{"temperature", 0}, {"top_k", 5}}), false);
  EXPECT_EQ(AsksForSampling({{"do_sample", 0}, {"temperature", 0.5}}), std::nullopt);  // it is said
}

TEST(Presets, NamesOfPresets) {
  for (const std::string& name : PresetNames()) EXPECT_EQ(NameOf(PresetOf(name).value()), name);
  EXPECT_EQ(PresetOf("cards"), std::nullopt);
}

// Presets contain only valid settings.
TEST(Presets, ValuesAreInRange) {
  for (const std::string& name : PresetNames()) {
    for (const auto& value : ValuesOf(PresetOf(name).value())) {
      ASSERT_TRUE(FindSetting(value.first)) << value.first;
      EXPECT_EQ(ErrorText([&] { CheckSettingValue(value.second, *FindSetting(value.first), "x"); }), "") << name;
    }
  }
}

}  // namespace
}  // namespace stablelm
