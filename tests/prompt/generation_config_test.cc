#include "prompt/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_text.h"

namespace stablelm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(GenerationConfigTest, TakesOnlyWhatIsThere) {
  const GenerationConfig config = ParseGenerationConfig(
      R"({"_from_model_config": true, "temperature": 0.8, "top_k": null, "do_sample": true, "max_new_tokens": 64,
          "eos_token_id": [0, 7], "bos_token_id": 0, "num_beams": 1, "transformers_version": "4.28.1"})",
      "G", 10);
  EXPECT_EQ(config.values, (SettingValues{{"temperature", 0.8}, {"do_sample", 1}, {"max_new_tokens", 64}}));
  EXPECT_THAT(config.eos_ids, ElementsAre(0, 7));
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_THAT(ParseGenerationConfig(R"({"eos_token_id": 3})", "G", 10).eos_ids, ElementsAre(3));
}

TEST(GenerationConfigTest, LengthDecayIsAPair) {
  EXPECT_EQ(ParseGenerationConfig(R"({"exponential_decay_length_penalty": [9, 1.5]})", "G", 10).values,
            (SettingValues{{"length_decay_start", 9}, {"length_decay_factor", 1.5}}));
  EXPECT_THAT(ParseGenerationConfig(R"({"exponential_decay_length_penalty": null})", "G", 10).values, IsEmpty());
  for (const char* bad : {"[1]", "[1, 2, 3]", "7", "[1, \"x\"]", "[1.5, 2]", "[-1, 2]"}) {
    const std::string json = std::string(R"({"exponential_decay_length_penalty": )") + bad + "}";
    const GenerationConfig config = ParseGenerationConfig(json, "G", 10);
    EXPECT_THAT(config.values, testing::Not(Contains(testing::Key("length_decay_factor")))) << bad;
    EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("G: \"exponential_decay_length_penalty\""))) << bad;
  }
}

TEST(GenerationConfigTest, SaysWhatItDoesNotFollow) {
  const auto warnings = [](const char* json) { return ParseGenerationConfig(json, "G", 10).warnings; };
  EXPECT_THAT(warnings(R"({"num_beams": 4})"), ElementsAre(HasSubstr("G: \"num_beams\": 4 is not followed")));
  EXPECT_THAT(warnings(R"({"no_such_key": 4})"), ElementsAre(HasSubstr("unknown key \"no_such_key\"")));
  EXPECT_THAT(warnings(R"({"penalty_alpha": null, "constraints": []})"), IsEmpty());
  const GenerationConfig legacy = ParseLegacyGenerationKeys(
      R"({"model_type": "gpt_neox", "eos_token_id": 99, "top_p": 0.5, "num_beams": 2, "anything": 1})", "C", 10);
  EXPECT_EQ(legacy.values, (SettingValues{{"top_p", 0.5}}));
  EXPECT_THAT(legacy.warnings, ElementsAre(HasSubstr("num_beams")));
}

// transformers ignores most of them, too; the log-probabilities do not depend on them.
TEST(GenerationConfigTest, ValuesWithoutSenseAreIgnoredAndNamed) {
  const auto warning = [](const char* json) {
    const GenerationConfig config = ParseGenerationConfig(json, "G", 10);
    EXPECT_THAT(config.values, IsEmpty()) << json;
    EXPECT_EQ(config.warnings.size(), 1u) << json;
    return config.warnings.empty() ? "" : config.warnings[0];
  };
  EXPECT_THAT(warning(R"({"temperature": -1})"), HasSubstr("G: \"temperature\": number out of range: found -1"));
  EXPECT_THAT(warning(R"({"temperature": "hot"})"), HasSubstr("G: \"temperature\": not a number: found \"hot\""));
  EXPECT_THAT(warning(R"({"temperature": NaN})"), HasSubstr("found NaN"));
  EXPECT_THAT(warning(R"({"do_sample": 1})"), HasSubstr("not a flag: found 1"));
  EXPECT_THAT(warning(R"({"eos_token_id": 10})"), HasSubstr("G: \"eos_token_id\": not a token"));
  EXPECT_THAT(warning(R"({"eos_token_id": 1e99})"), HasSubstr("not a token"));
  EXPECT_THAT(warning(R"({"eos_token_id": 18446744073709551615})"), HasSubstr("not a token"));
  const GenerationConfig some = ParseGenerationConfig(R"({"eos_token_id": [0, -1, 7], "top_k": 5})", "G", 10);
  EXPECT_THAT(some.eos_ids, ElementsAre(0, 7));
  EXPECT_EQ(some.values, (SettingValues{{"top_k", 5}}));
  EXPECT_THAT(some.warnings, ElementsAre(HasSubstr("found -1")));
  const GenerationConfig legacy = ParseLegacyGenerationKeys(R"({"top_p": "x", "top_k": 5})", "C", 10);
  EXPECT_EQ(legacy.values, (SettingValues{{"top_k", 5}}));
  EXPECT_THAT(legacy.warnings, ElementsAre(HasSubstr("C: \"top_p\"")));
}

TEST(GenerationConfigTest, RefusesWhatIsNoObject) {
  const auto refusal = [](const char* json) { return ErrorText([&] { ParseGenerationConfig(json, "G", 10); }); };
  EXPECT_THAT(refusal("[]"), HasSubstr("not a generation configuration"));
  EXPECT_THAT(refusal("{"), HasSubstr("not valid JSON"));
}

TEST(GenerationConfigTest, ReadsListsOfTokens) {
  const GenerationConfig config = ParseGenerationConfig(
      R"({"bad_words_ids": [[1, 2], [3]], "suppress_tokens": [4, 5], "begin_suppress_tokens": []})", "G", 10);
  EXPECT_EQ(config.token_lists.bad_words, (std::vector<std::vector<int32_t>>{{1, 2}, {3}}));
  EXPECT_EQ(config.token_lists.suppress, (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(config.token_lists.begin_suppress, std::vector<int32_t>());
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_FALSE(ParseGenerationConfig(R"({"bad_words_ids": null, "suppress_tokens": null})", "G", 10).token_lists.Any());
  EXPECT_EQ(ParseLegacyGenerationKeys(R"({"bad_words_ids": [[7]]})", "C", 10).token_lists.bad_words,
            (std::vector<std::vector<int32_t>>{{7}}));
  for (const char* bad :
       {R"("bad_words_ids": [1])", R"("bad_words_ids": [[]])", R"("bad_words_ids": [[10]])", R"("suppress_tokens": 3)",
        R"("suppress_tokens": [-1])", R"("begin_suppress_tokens": [1.5])", R"("begin_suppress_tokens": {"1": 2})"}) {
    const std::string text = bad;
    const GenerationConfig ignored = ParseGenerationConfig("{" + text + "}", "G", 10);
    EXPECT_FALSE(ignored.token_lists.Any()) << text;
    EXPECT_THAT(ignored.warnings, ElementsAre(testing::StartsWith("G: " + text.substr(0, text.find(':')))));
  }
}

}  // namespace
}  // namespace stablelm
