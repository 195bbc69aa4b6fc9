// Resolves options and a model's files into the parameters of a request.
#include "generate/settings/generation_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prompt/prompt_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Words = std::vector<std::vector<int32_t>>;

ModelConfig Config() {
  ModelConfig config;
  config.vocab_size = 1000;
  config.eos_ids = {0};
  return config;
}

// The plan for a folder with these files.
GenerationPlan PlanOf(const std::string& config_json, const std::string& generation_config) {
  const TempFolder temp;
  std::ofstream(temp.path() / "config.json") << config_json;
  if (!generation_config.empty()) std::ofstream(temp.path() / "generation_config.json") << generation_config;
  const GenerationOptions none;
  return PlanGeneration(none, Config(), nullptr,
                        ReadModelDefaults(*ModelSource::Open(temp.path().string()), Config(), nullptr), {});
}

TEST(GenerationPlan, ObeysTheListsOfTheModelsFiles) {
  const GenerationPlan plan =
      PlanOf(R"({"bad_words_ids": [[9]], "begin_suppress_tokens": [8]})",
             R"({"bad_words_ids": [[1, 2], [0], [3], [0, 4]], "suppress_tokens": [5], "eos_token_id": [0]})");
  GenerateRequest request;
  plan.Apply(false, request);
  EXPECT_EQ(request.sampling.bad_words, (Words{{1, 2}, {3}, {0, 4}}));  // the end token alone is ignored
  EXPECT_THAT(request.sampling.suppress_tokens, ElementsAre(5));
  EXPECT_THAT(request.sampling.begin_suppress_tokens, ElementsAre(8));
  ASSERT_EQ(plan.token_lists.size(), 3u);
  EXPECT_EQ(plan.token_lists[0].name, "bad_words_ids");
  EXPECT_EQ(plan.token_lists[0].entries, 3u);
  EXPECT_EQ(plan.token_lists[0].from, "generation_config.json");
  EXPECT_EQ(plan.token_lists[2].from, "config.json");
  // An empty list in a stronger file overrides the weaker one.
  EXPECT_THAT(PlanOf(R"({"suppress_tokens": [5]})", R"({"suppress_tokens": []})").token_lists, IsEmpty());
  EXPECT_THAT(PlanOf("{}", "").token_lists, IsEmpty());
}

TEST(GenerationPlan, TakesListsOfOptionsInPlaceOfTheModels) {
  ModelDefaults defaults;
  defaults.token_lists = {
      {.from = "F", .lists = {.bad_words = Words{{1}}, .suppress = {{5}}, .begin_suppress = {{8}}}}};
  GenerationOptions options;
  options.token_lists.bad_words = {{2, 3}};
  options.token_lists.suppress.emplace();
  const GenerationPlan plan = PlanGeneration(options, Config(), nullptr, defaults, {});
  EXPECT_EQ(plan.settings.sampling.bad_words, (Words{{2, 3}}));
  EXPECT_THAT(plan.settings.sampling.suppress_tokens, IsEmpty());
  EXPECT_THAT(plan.settings.sampling.begin_suppress_tokens, ElementsAre(8));
  ASSERT_EQ(plan.token_lists.size(), 2u);
  EXPECT_EQ(plan.token_lists[0].from, "option");
  EXPECT_EQ(plan.token_lists[1].from, "F");
}

TEST(GenerationPlan, PutsWishesIntoTheRequest) {
  const Tokenizer tokenizer = TunedTokenizer();
  GenerationOptions options;
  options.settings.values["temperature"] = 0.5;
  options.settings.values["max_new_tokens"] = 7;
  options.stop_ids = {12};
  options.stop_strings = {"end"};
  options.logit_bias = {{.id = 3, .bias = 1}};
  options.max_time_s = 2;
  GenerateRequest request;
  const GenerationPlan plan = PlanGeneration(options, Config(), &tokenizer, {}, {});
  plan.Apply(false, request);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.max_new_tokens, 7);
  EXPECT_THAT(request.stop_ids, ElementsAre(0, 12));
  EXPECT_THAT(request.banned_ids, IsEmpty());
  EXPECT_THAT(request.stop_strings, ElementsAre("end"));
  EXPECT_EQ(request.sampling.logit_bias.size(), 1u);
  EXPECT_EQ(request.max_time_s, 2);
  EXPECT_EQ(request.known_ids, tokenizer.size());
  GenerateRequest endless;
  plan.Apply(true, endless);
  EXPECT_THAT(endless.banned_ids, ElementsAre(0, 12));
  EXPECT_THAT(endless.stop_ids, IsEmpty());
  options.allow_padding_ids = true;
  EXPECT_EQ(PlanGeneration(options, Config(), &tokenizer, {}, {}).known_ids, 0);
}

TEST(GenerationPlan, RefusesWhatContradictsItself) {
  GenerationOptions options;
  options.greedy = true;
  options.settings.values["top_k"] = 5;
  EXPECT_THAT(ErrorText([&] { PlanGeneration(options, Config(), nullptr, {}, {}); }),
              HasSubstr("`greedy`: contradicts `temperature`"));
  options.settings.values.clear();
  options.settings.values["min_length"] = 5;
  EXPECT_TRUE(PlanGeneration(options, Config(), nullptr, {}, {}).settings.sampling.Greedy());
  options.stop_ids = {1000};
  EXPECT_THAT(ErrorText([&] { PlanGeneration(options, Config(), nullptr, {}, {}); }), HasSubstr("`stop_ids`"));
}

}  // namespace
}  // namespace stablelm
