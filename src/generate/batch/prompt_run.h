// Many prompts through one engine: their results come out in the order of the prompts, whichever ends first.
//
// A prompt may be wanted several times (samples); they share its computation. A result that is ready waits for those
// before it, as text: so the prompts are read only so far ahead of the oldest unfinished one, and what waits is
// bounded.
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
// key, stream 2^64 - 1, index `index`. No sample draws from that stream, and the seed stands with the result: with it
// the prompt alone gives the same again.
uint64_t SeedOfPrompt(uint64_t run_seed, uint64_t index);

struct PromptTask {
  EngineRequest request;  // of the first sample; the others have GenerateRequest::sample 1, 2, ...
  int64_t samples = 1;
  // Makes the line of the task when its samples have ended; results[i] is that of sample i.
  std::function<std::string(std::span<const EngineResult> results)> line;
};

struct PromptRunOptions {
  int64_t parallel = 1;                          // samples that are with the engine at the same time
  int64_t most_ahead = 16;                       // prompts that are begun and not written
  size_t most_waiting_bytes = size_t{64} << 20;  // of results that wait; when there are more, nothing new is begun
};

// All are called on the calling thread; what they throw ends the run.
struct PromptRunHooks {
  // The next prompt, or at once its line (a prompt that cannot be read); no value after the last one.
  std::function<std::optional<std::variant<PromptTask, std::string>>()> next;
  // Takes the lines in the order of the prompts.
  std::function<void(std::string_view line)> write;
  std::function<void()> on_token = {};
  const std::atomic<bool>* cancel = nullptr;  // ends the run; what is unfinished is given up
};

// Returns false when it was cancelled. The engine is empty before and after.
bool RunPrompts(Engine& engine, const PromptRunOptions& settings, const PromptRunHooks& hooks);

}  // namespace stablelm
