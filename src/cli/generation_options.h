// The options that say how tokens are chosen and when a reply ends, the same for every command that generates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "generate/generator.h"
#include "generate/settings.h"

namespace stablelm {

struct GenerationOptions {
  SettingWishes wishes;
  bool greedy = false;
  std::string stop_ids;  // --stop-id
  bool ignore_eos = false;
  bool allow_padding_ids = false;
};
void AddGenerationOptions(CLI::App& app, GenerationOptions& options);

// Everything that is decided before a request runs.
struct GenerationPlan {
  SettingsInForce settings;
  std::vector<StopId> stop_ids;
  std::vector<int32_t> padding_ids;  // those that are never produced

  // Fills in sampling, max_new_tokens, stop_ids and banned_ids.
  void Apply(bool ignore_eos, GenerateRequest& request) const;
};
// `tokenizer` may be null; `prompt_template` is the one in use, if any. Throws UsageError and Error.
GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template);

// --show-config: what is in force, and from where.
void PrintPlan(const GenerationPlan& plan, const Tokenizer* tokenizer, const ModelDefaults& defaults, Output& out);

}  // namespace stablelm
