// generate --beams: finds the most likely whole continuations of one prompt (generate/beam_search.h).
#pragma once

#include <optional>

#include "cli/generating/generate_run.h"
#include "generate/beam_search.h"

namespace stablelm {

struct BeamFlags {
  int64_t beams = 1;
  std::optional<int64_t> num_return;
  std::optional<double> length_penalty;
  std::optional<EarlyStopping> early_stopping;

  bool Wanted() const { return beams > 1; }
  // Throws UsageError when the other beam options are given without --beams.
  void Check() const;
  BeamOptions Options() const;
};
void AddBeamOptions(CLI::App& app, BeamFlags& flags);

// Runs the beam search and prints the results. Returns the exit code. Throws Error.
int GenerateBeams(const OnePrompt& prompt, const BeamFlags& flags, const GenerateRun& run);

}  // namespace stablelm
