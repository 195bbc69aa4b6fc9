// generate --input: runs a file of prompts through the engine into a file of results. An interrupted run can resume,
// unless its prompts come from a pipe or its results go to standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/generating/engine_options.h"
#include "cli/generating/prompt_tasks.h"

namespace stablelm {

struct ManyPrompts {
  std::string input;   // --input; empty: not given
  std::string output;  // --output; empty or "-": standard output
};
void AddManyPrompts(CLI::App& app, ManyPrompts& files);

// The command's other options.
struct ManyRun {
  PromptTaskOptions tasks;
  std::optional<uint64_t> seed;
  EngineOptions engine;
  bool check_weights = false;
};

// Throws UsageError when the results would go into the file of prompts.
void RequireOtherOutput(const ManyPrompts& files);

// Returns the exit code: 0, 1 when a line failed, 130. Throws UsageError and Error.
int GenerateMany(const ManyPrompts& files, ManyRun run, ModelOfCommand& model, const ModelDefaults& defaults,
                 const CommonOptions& common, Output& out);

}  // namespace stablelm
