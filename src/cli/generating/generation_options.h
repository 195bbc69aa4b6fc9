// The options that say how tokens are chosen and when a reply ends, the same for every command that generates.
#pragma once

#include <string>

#include "cli/app/options.h"
#include "generate/settings/generation_plan.h"

namespace stablelm {

void AddGenerationOptions(CLI::App& app, GenerationOptions& options);

// The value of a setting as a user writes it: a number, or for a flag true or false. Throws UsageError that names
// `where`.
double ParseSettingValue(const SettingSpec& spec, const std::string& text, const std::string& where);

// --show-config: what is in force, and from where.
void PrintPlan(const GenerationPlan& plan, const ModelConfig& config, const Tokenizer* tokenizer,
               const ModelDefaults& defaults, Output& out);

}  // namespace stablelm
