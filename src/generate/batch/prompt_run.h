// Runs many prompts through one engine and writes their results in the order of the prompts.
//
// A prompt may have several samples, which share its prefill. A finished result is kept as text until all earlier ones
// are written. To bound this memory, prompts are read only a limited number ahead of the oldest unfinished one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "generate/engine.h"

namespace stablelm {

// The seed of prompt `index` (from 0) of a run: words 0 (low) and 1 (high) of the Philox block with the run's seed as
// key, stream 2^64 - 1, index `index`. Sampling never uses that stream. The result names the seed, so that the prompt
// alone can be run again with the same result.
uint64_t SeedOfPrompt(uint64_t run_seed, uint64_t index);

struct PromptTask {
  EngineRequest request;  // of sample 0; the others have GenerateRequest::sample 1, 2, ...
  int64_t samples = 1;
  // Makes the output line of the task when all samples have ended; results[i] is sample i.
  std::function<std::string(std::span<const EngineResult> results)> line;
};

struct PromptRunOptions {
  int64_t parallel = 1;                          // samples in the engine at the same time
  int64_t most_ahead = 16;                       // prompts started but not written
  size_t most_waiting_bytes = size_t{64} << 20;  // of results that wait; above this no new prompt is started
};

// All are called on the calling thread; an exception ends the run.
struct PromptRunHooks {
  // The next prompt, or directly its output line (for a malformed prompt); no value after the last one.
  std::function<std::optional<std::variant<PromptTask, std::string>>()> next;
  // Gets the lines in the order of the prompts.
  std::function<void(std::string_view line)> write;
  std::function<void()> on_token = {};
  const std::atomic<bool>* cancel = nullptr;  // ends the run; unfinished prompts are dropped
};

// Returns false when cancelled. The engine must be empty, and is empty afterwards.
bool RunPrompts(Engine& engine, const PromptRunOptions& settings, const PromptRunHooks& hooks);

}  // namespace stablelm
