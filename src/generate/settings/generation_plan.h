// Everything that is decided before a request runs: from what a user asked for and what the model's files say to the
// parameters of a GenerateRequest. The command line, the library and every other front use this one way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "generate/generate_request.h"
#include "generate/settings/settings.h"
#include "prompt/token_lists.h"

namespace stablelm {

// What a user asked for; what is left alone is as the model says.
struct GenerationOptions {
  SettingOptions settings;
  bool greedy = false;  // --greedy
  std::string sampler_order = "hf";
  std::vector<LogitBias> logit_bias;
  TokenLists token_lists;         // each that is given takes the place of the model's
  std::vector<int32_t> stop_ids;  // beside those of the model's files
  std::vector<std::string> stop_strings;
  std::optional<double> max_time_s;
  bool ignore_eos = false;         // stop ids are never chosen
  bool allow_padding_ids = false;  // ids above the tokenizer's largest may be chosen
};

// A list of tokens that are never chosen, for --show-config.
struct ResolvedTokenList {
  std::string name;  // "bad_words_ids", "suppress_tokens", "begin_suppress_tokens"
  size_t entries = 0;
  std::string from;
};

struct GenerationPlan {
  ResolvedSettings settings;
  std::vector<ResolvedTokenList> token_lists;  // those that are not empty
  std::vector<StopId> stop_ids;
  std::vector<std::string> stop_strings;
  int64_t known_ids = 0;  // ids from here on are never produced; 0: none
  std::optional<double> max_time_s;

  // Everything of the request but its prompt, seed and tokenizer.
  void Apply(bool ignore_eos, GenerateRequest& request) const;
};

// `tokenizer` may be null; `prompt_template` is the one in use, if any. Throws UsageError for options that contradict
// each other, Error for values out of range.
GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template);

}  // namespace stablelm
