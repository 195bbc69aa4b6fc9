// Every parameter is checked; errors have its name, the found and the expected value.
#include "generate/sampling/sampling_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"
#include "prompt/setting_values.h"

namespace stablelm {
namespace {

std::string ErrorOf(const SamplingOptions& options, const std::string& where = {}) {
  try {
    CheckSamplingOptions(options, 100, where);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

void Set(SamplingOptions& options, const SamplingField& p, double value) {
  if (const auto* real = std::get_if<double SamplingOptions::*>(&p.field)) {
    options.*(*real) = value;
  } else {
    options.*std::get<int64_t SamplingOptions::*>(p.field) = static_cast<int64_t>(value);
  }
}

TEST(SamplingOptions, DefaultsAreInRange) { EXPECT_EQ(ErrorOf({}), "no error"); }

TEST(SamplingOptions, EveryNumberHasARange) {
  std::set<std::string_view> names;
  for (const SamplingField& p : SamplingFields()) {
    SCOPED_TRACE(std::string(p.name));
    EXPECT_TRUE(names.insert(p.name).second);
    const std::optional<SettingSpec> spec = FindSetting(p.name);
    ASSERT_TRUE(spec);
    EXPECT_FALSE(spec->help.empty());
    for (const double good : {spec->min, spec->max}) {
      SamplingOptions options;
      Set(options, p, good);
      EXPECT_EQ(ErrorOf(options), "no error") << good;
    }
    std::vector<double> bad = {spec->min - 1, spec->max + 1};
    if (std::holds_alternative<double SamplingOptions::*>(p.field)) {
      bad.push_back(std::nan(""));
      bad.push_back(std::numeric_limits<double>::infinity());
    }
    for (const double value : bad) {
      SamplingOptions options;
      Set(options, p, value);
      EXPECT_THAT(ErrorOf(options, "line 7: "),
                  testing::StartsWith("line 7: " + std::string(p.name) + ": out of range: found "))
          << value;
    }
  }
  EXPECT_GE(names.size(), 28u);
}

TEST(SamplingOptions, TheMessageNamesBothNumbers) {
  EXPECT_EQ(ErrorOf({.temperature = -1}), "temperature: out of range: found -1, expected 0 to 1000000");
  EXPECT_EQ(ErrorOf({.top_p = 2}), "top_p: out of range: found 2, expected 0 to 1");
  SamplingOptions one;
  one.mirostat = 1;
  EXPECT_EQ(ErrorOf(one), "mirostat: no such version: found 1, expected 0 or 2");
}

TEST(SamplingOptions, ListsAreChecked) {
  const auto error = [](auto change) {
    SamplingOptions options;
    change(options);
    return ErrorOf(options);
  };
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(error([&](SamplingOptions& o) { o.logit_bias = {{99, -inf}, {0, -1e6}}; }), "no error");
  EXPECT_THAT(error([&](SamplingOptions& o) {
                o.logit_bias = {{100, 1}};
              }),
              testing::HasSubstr("logit_bias: token id out of range: found 100, expected 0 to 99"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.logit_bias = {{1, inf}}; }), testing::HasSubstr("inf for token 1"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.logit_bias = {{1, std::nan("")}}; }), testing::HasSubstr("logit_bias"));
  EXPECT_THAT(error([&](SamplingOptions& o) {
                o.bad_words = {{1}, {}};
              }),
              testing::HasSubstr("bad_words: an entry is"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.bad_words = {{1, -1}}; }), testing::HasSubstr("found -1"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.suppress_tokens = {100}; }), testing::HasSubstr("suppress_tokens"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.begin_suppress_tokens = {-2}; }),
              testing::HasSubstr("begin_suppress_tokens"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.suppress_tokens.assign(70000, 1); }),
              testing::HasSubstr("too many entries: found 70000, expected at most 65536"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.bad_words.assign(70000, {1}); }),
              testing::HasSubstr("too many entries"));
  EXPECT_THAT(error([&](SamplingOptions& o) {
                o.dry_breakers = {"\n", ""};
              }),
              testing::HasSubstr("dry_breakers: an entry has a length out of range: found 0 bytes"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.dry_breakers.assign(65, "x"); }), testing::HasSubstr("at most 64"));
  EXPECT_THAT(error([&](SamplingOptions& o) { o.sampler_order = "hot"; }), testing::HasSubstr("sampler_order"));
}

}  // namespace
}  // namespace stablelm
