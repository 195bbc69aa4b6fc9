// One request, one sequence: a prompt is computed in chunks, then tokens are chosen one by one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "generate/sampler.h"
#include "model/memory_plan.h"
#include "model/transformer.h"

namespace stablelm {

struct GenerateRequest {
  std::vector<int32_t> prompt;            // at least one id
  std::optional<int64_t> max_new_tokens;  // >= 1; empty: what is left of the context
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t sample = 0;              // number of this sample within its request
  std::vector<int32_t> stop_ids;    // generation ends after one of these; it is part of the result
  std::vector<int32_t> banned_ids;  // never chosen
};

enum class FinishReason : uint8_t {
  kStop,       // a stop id was generated
  kLength,     // max_new_tokens were generated
  kContext,    // prompt and generated tokens fill the model's context
  kCancelled,  // the caller's flag was set
};
const char* NameOf(FinishReason reason);  // "stop", "length", "context", "cancelled"

struct GenerateResult {
  std::vector<int32_t> ids;      // generated, a stop id included
  std::vector<double> logprobs;  // of each, see ChosenToken
  FinishReason reason = FinishReason::kLength;
  double prefill_s = 0;  // computing the prompt
  double decode_s = 0;   // choosing tokens, and computing all but the first
};

struct GenerateHooks {
  // Called with each token as it is chosen, in order, from the calling thread.
  std::function<void(const ChosenToken&)> on_token;
  // Set by anyone, polled between tokens and between the layers of the prompt.
  const std::atomic<bool>* cancel = nullptr;
};

// The run of one sequence of at most `context` positions.
RunShape ShapeOfGenerate(int64_t context, DType kv, size_t threads);
// The run that a request needs, for the memory plan. Throws Error when the prompt is empty, has an id that the model
// does not have, or is longer than the context; `where` names the prompt.
RunShape ShapeOfGenerate(const ModelConfig& config, const GenerateRequest& request, DType kv, size_t threads,
                         const std::string& where = "prompt");

// `run` is ShapeOfGenerate of this request. Buffers and cache live for the call. Throws Error as Transformer::Forward.
GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const GenerateHooks& hooks = {});

}  // namespace stablelm
