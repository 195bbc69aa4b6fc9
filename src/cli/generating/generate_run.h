// What the single-prompt modes of generate share: the prompt, the model and the output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json_value.h"
#include "cli/app/model_loading.h"
#include "cli/generating/reply_json.h"
#include "generate/reply.h"
#include "prompt/context_policy.h"

namespace stablelm {

struct EngineOptions;

// The single prompt of a command line, ready to run.
struct OnePrompt {
  GenerateRequest request;
  std::string where;                    // names the prompt in errors
  std::optional<DroppedTurns> dropped;  // for a conversation
};

struct GenerateRun {
  ModelOfCommand& model;  // not loaded yet
  const CommonOptions& common;
  const ReplyDetails& details;
  bool check_weights;
  Output& out;
};

// Adds the fields that end every result: seed (if `seeded`), counts, dropped, seconds, peak_bytes, quantize (with
// --quantize), lora (with --lora) and compute (when it is fast).
void AddRunFacts(const OnePrompt& prompt, const GenerateRun& run, size_t generated, bool seeded, JsonValue seconds,
                 JsonValue& into);

// Prints a reply under a line "--- TITLE (finish reason)": its text, or its ids without a tokenizer. Not with --json.
void PrintReply(const std::string& title, const GenerateResult& result, const ReplyJson& reply, const GenerateRun& run);

// --samples: generates several samples of one prompt, which share its prefill. Also serves --prompt-logprobs (with
// --samples 1). Returns the exit code. Throws Error, also as RequireSampling.
int GenerateSamples(const OnePrompt& prompt, int64_t samples, const EngineOptions& engine, const GenerateRun& run);
// Throws Error when greedy settings ask for several samples.
void RequireSampling(int64_t samples, const SamplingOptions& sampling);

}  // namespace stablelm
