// Options for sampling and stopping, the same for every command that generates.
#pragma once

#include <string>

#include "cli/app/model_loading.h"
#include "cli/app/options.h"
#include "generate/settings/generation_plan.h"

namespace stablelm {

// With `no_reply`, --max-new-tokens 0 sets it; otherwise 0 is refused.
void AddGenerationOptions(CLI::App& app, GenerationOptions& options, bool* no_reply = nullptr);

// Parses a setting's value: a number, or true or false for a flag. Throws UsageError that names `where`.
double ParseSettingValue(const SettingSpec& spec, const std::string& text, const std::string& where);

// --show-config: prints the settings in force and where each comes from.
void PrintPlan(const GenerationPlan& plan, ModelOfCommand& model, const ModelDefaults& defaults, Output& out);

}  // namespace stablelm
