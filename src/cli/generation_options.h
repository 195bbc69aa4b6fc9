// The options that say how tokens are chosen and when a reply ends, the same for every command that generates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "generate/generator.h"
#include "generate/settings.h"

namespace stablelm {

struct GenerationOptions {
  SettingWishes wishes;
  bool greedy = false;
  std::string sampler_order = "hf";
  std::vector<LogitBias> logit_bias;
  std::string stop_ids;                   // --stop-id
  std::vector<std::string> stop_strings;  // --stop
  std::optional<double> max_time_s;
  bool ignore_eos = false;
  bool allow_padding_ids = false;
};
void AddGenerationOptions(CLI::App& app, GenerationOptions& options);

// The value of a setting as a user writes it: a number, or for a flag true or false. Throws UsageError that names
// `where`.
double ParseSettingValue(const SettingSpec& spec, const std::string& text, const std::string& where);

// Everything that is decided before a request runs.
struct GenerationPlan {
  SettingsInForce settings;
  std::vector<StopId> stop_ids;
  std::vector<std::string> stop_strings;
  int64_t known_ids = 0;  // ids from here on are never produced; 0: none
  std::optional<double> max_time_s;

  // Everything of the request but its prompt, seed and tokenizer.
  void Apply(bool ignore_eos, GenerateRequest& request) const;
};
// `tokenizer` may be null; `prompt_template` is the one in use, if any. Throws UsageError and Error.
GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template);

// --show-config: what is in force, and from where.
void PrintPlan(const GenerationPlan& plan, const ModelConfig& config, const Tokenizer* tokenizer,
               const ModelDefaults& defaults, Output& out);

}  // namespace stablelm
