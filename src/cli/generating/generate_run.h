// What the ways of generate to answer one prompt share: the prompt, and where it runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json_value.h"
#include "cli/app/model_loading.h"
#include "cli/generating/reply_json.h"
#include "generate/reply.h"

namespace stablelm {

struct EngineOptions;

// The one prompt of a command line, ready to run.
struct OnePrompt {
  GenerateRequest request;
  std::string where;  // names the prompt in errors
  struct Dropped {
    size_t messages = 0;
    int64_t tokens = 0;
  };
  std::optional<Dropped> dropped;  // of a conversation
};

struct GenerateRun {
  ModelOfCommand& model;  // not loaded yet
  const CommonOptions& common;
  const ReplyDetails& details;
  bool check_weights;
  Output& out;
};

// Adds what every result ends with: seed (where one is drawn by), counts, dropped, seconds, peak_bytes, and
// quantize (with --quantize), compute (when it is fast).
void AddRunFacts(const OnePrompt& prompt, const GenerateRun& run, size_t generated, bool seeded, JsonValue seconds,
                 JsonValue& into);

// A reply under a line "--- TITLE (finish reason)": its text, or its ids where there is no tokenizer. Not with --json.
void PrintReply(const std::string& title, const GenerateResult& result, const ReplyJson& reply, const GenerateRun& run);

// --n: several samples of one prompt, which share its computation; and the log-probabilities of a prompt (--n 1).
// Returns the exit code. Throws Error, also when several samples are wanted of what is not drawn.
int GenerateSamples(const OnePrompt& prompt, int64_t samples, const EngineOptions& engine, const GenerateRun& run);
void RequireDraws(int64_t samples, const SamplingOptions& sampling);

}  // namespace stablelm
