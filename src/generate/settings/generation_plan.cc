#include "generate/settings/generation_plan.h"

#include "base/error.h"

namespace stablelm {
namespace {

// Takes each token list from the first source that has it: the option, then the model's files.
void TakeTokenLists(const TokenLists& options, const ModelDefaults& defaults, GenerationPlan& plan) {
  std::vector<TokenListLayer> layers = {{.from = "option", .lists = options}};
  layers.insert(layers.end(), defaults.token_lists.begin(), defaults.token_lists.end());
  SamplingOptions& sampling = plan.settings.sampling;
  const auto take = [&](auto TokenLists::*list, auto& into, const char* name) {
    for (const TokenListLayer& layer : layers) {
      const auto& found = layer.lists.*list;
      if (!found) continue;
      into = *found;
      if (!found->empty()) plan.token_lists.push_back({.name = name, .entries = found->size(), .from = layer.from});
      return;
    }
  };
  take(&TokenLists::bad_words, sampling.bad_words, "bad_words_ids");
  take(&TokenLists::suppress, sampling.suppress_tokens, "suppress_tokens");
  take(&TokenLists::begin_suppress, sampling.begin_suppress_tokens, "begin_suppress_tokens");
}

}  // namespace

GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template) {
  SettingOptions settings = options.settings;
  if (options.greedy) {
    const auto do_sample = settings.values.find("do_sample");
    if (do_sample == settings.values.end() ? AsksForSampling(settings.values) == true : do_sample->second != 0) {
      throw UsageError(
          {.where = "`greedy`",
           .what = "contradicts `temperature`, `top_k`, `do_sample` and the other settings that ask for sampling",
           .hint = "leave one of them out"});
    }
    settings.values["do_sample"] = 0;
  }
  GenerationPlan plan;
  plan.settings = ResolveSettings(settings, defaults);
  plan.settings.sampling.sampler_order = options.sampler_order;
  plan.settings.sampling.logit_bias = options.logit_bias;
  TakeTokenLists(options.token_lists, defaults, plan);
  CheckSamplingOptions(plan.settings.sampling, config.vocab_size);
  plan.stop_ids = ResolveStopIds(config, tokenizer, defaults, prompt_template, options.stop_ids);
  if (tokenizer && !options.allow_padding_ids) plan.known_ids = tokenizer->size();
  plan.stop_strings = options.stop_strings;
  plan.max_time_s = options.max_time_s;
  return plan;
}

void GenerationPlan::Apply(bool ignore_eos, GenerateRequest& request) const {
  request.sampling = settings.sampling;
  request.max_new_tokens = settings.max_new_tokens;
  request.known_ids = known_ids;
  request.stop_strings = stop_strings;
  request.max_time_s = max_time_s;
  for (const StopId& stop : stop_ids) (ignore_eos ? request.banned_ids : request.stop_ids).push_back(stop.id);
}

}  // namespace stablelm
