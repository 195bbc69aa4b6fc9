// Resolves the user's options and the model's files into the parameters of a GenerateRequest. The command line and the
// library both use it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "generate/generate_request.h"
#include "generate/settings/settings.h"
#include "prompt/token_lists.h"

namespace stablelm {

// The user's options; unset ones follow the model's files.
struct GenerationOptions {
  SettingOptions settings;
  bool greedy = false;  // --greedy
  std::string sampler_order = "hf";
  std::vector<LogitBias> logit_bias;
  TokenLists token_lists;         // each list that is set replaces the model's
  std::vector<int32_t> stop_ids;  // in addition to those of the model's files
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
  std::vector<ResolvedTokenList> token_lists;  // non-empty ones
  std::vector<StopId> stop_ids;
  std::vector<std::string> stop_strings;
  int64_t known_ids = 0;  // ids >= this are never chosen; 0: no padding
  std::optional<double> max_time_s;

  // Sets every field of the request except prompt, seed and tokenizer.
  void Apply(bool ignore_eos, GenerateRequest& request) const;
};

// `tokenizer` may be null; `prompt_template`: the one in use, if any. Throws UsageError for contradictory options,
// Error for values out of range.
GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template);

}  // namespace stablelm
