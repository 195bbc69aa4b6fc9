// Active steps and their order.
#include "generate/sampling/sampler_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace stablelm {
namespace {

std::vector<std::string> OrderNames(const SamplingOptions& options) {
  std::vector<std::string> names;
  for (const SamplerStep step : StepsInOrder(options)) names.emplace_back(NameOf(step));
  return names;
}

std::string ErrorOf(const SamplingOptions& options) {
  try {
    StepsInOrder(options, "line 3: ");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

SamplingOptions Everything() {
  SamplingOptions o;
  o.temperature = 0.7;
  o.top_k = 50;
  o.top_p = 0.9;
  o.min_p = 0.1;
  o.typical_p = 0.9;
  o.epsilon_cutoff = 0.1;
  o.eta_cutoff = 0.1;
  o.top_n_sigma = 1;
  o.xtc_probability = 0.5;
  o.repetition_penalty = 1.1;
  o.presence_penalty = 1;
  o.frequency_penalty = 1;
  o.dry_multiplier = 1;
  o.no_repeat_ngram_size = 3;
  o.min_length = 3;
  o.min_new_tokens = 3;
  o.length_decay_factor = 1.1;
  o.logit_bias = {{1, 1}};
  o.bad_words = {{1}};
  o.suppress_tokens = {1};
  o.begin_suppress_tokens = {1};
  return o;
}

TEST(SamplerOrder, TransformersOrder) {
  EXPECT_THAT(OrderNames(Everything()),
              testing::ElementsAre("padding", "logit_bias", "repetition_penalty", "dry", "presence_penalty",
                                   "frequency_penalty", "no_repeat_ngram", "bad_words", "min_length", "min_new_tokens",
                                   "constraint", "length_decay", "suppress_tokens", "begin_suppress_tokens",
                                   "temperature", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p",
                                   "epsilon_cutoff", "eta_cutoff", "xtc"));
}

TEST(SamplerOrder, NothingIsActiveByDefault) {
  EXPECT_THAT(OrderNames({}), testing::ElementsAre("padding", "constraint"));
  EXPECT_THAT(OrderNames({.temperature = 1}), testing::ElementsAre("padding", "constraint"));
  EXPECT_THAT(OrderNames({.temperature = 1, .dynatemp_range = 0.5}),
              testing::ElementsAre("padding", "constraint", "temperature"));
}

TEST(SamplerOrder, MirostatTakesThePlaceOfTheFilters) {
  SamplingOptions o = Everything();
  o.mirostat = 2;
  const auto names = OrderNames(o);
  EXPECT_EQ(names.back(), "mirostat");
  EXPECT_EQ(names[names.size() - 2], "temperature");
}

TEST(SamplerOrder, Llama) {
  SamplingOptions o = Everything();
  o.sampler_order = "llama";
  EXPECT_THAT(
      OrderNames(o),
      testing::ElementsAre("padding", "logit_bias", "no_repeat_ngram", "bad_words", "min_length", "min_new_tokens",
                           "constraint", "suppress_tokens", "begin_suppress_tokens", "repetition_penalty",
                           "presence_penalty", "frequency_penalty", "dry", "length_decay", "top_n_sigma", "top_k",
                           "typical_p", "top_p", "min_p", "epsilon_cutoff", "eta_cutoff", "xtc", "temperature"));
}

TEST(SamplerOrder, AList) {
  SamplingOptions o = {.temperature = 0.5, .top_k = 5, .min_p = 0.1};
  o.min_new_tokens = 2;
  o.sampler_order = "min_p, temperature ,top_p,top_k";
  EXPECT_THAT(OrderNames(o),
              testing::ElementsAre("padding", "min_new_tokens", "constraint", "min_p", "temperature", "top_k"));
  o.sampler_order = "top_k,temperature";
  EXPECT_THAT(ErrorOf(o), testing::AllOf(testing::HasSubstr("line 3: sampler_order: leaves out a step"),
                                         testing::HasSubstr("expected min_p among the names")));
  o.temperature = 0;  // greedy: filters are not required
  EXPECT_EQ(ErrorOf(o), "no error");
  o.sampler_order = "top_k,warmth";
  EXPECT_THAT(ErrorOf(o), testing::AllOf(testing::HasSubstr("sampler_order: unknown name: found \"warmth\""),
                                         testing::HasSubstr("expected hf, llama or a list of: repetition_penalty, ")));
  o.sampler_order = "top-k";
  EXPECT_THAT(ErrorOf(o), testing::HasSubstr("hint:  did you mean top_k?"));
  o.sampler_order = "top_k,top_k";
  EXPECT_THAT(ErrorOf(o), testing::HasSubstr("twice"));
  for (const char* bad : {"", ",", "top_k,", "HF", "padding"}) {
    o.sampler_order = bad;
    EXPECT_THAT(ErrorOf(o), testing::HasSubstr("unknown name")) << bad;
  }
}

}  // namespace
}  // namespace stablelm
