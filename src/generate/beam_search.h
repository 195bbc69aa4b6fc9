// Beam search: finds continuations that are likely as a whole, instead of choosing one token at a time.
//
// All beams run through the model as one ragged batch and share the cached prompt. At each step the processors of the
// sampling options (bans and penalties, no filters) change the log-probabilities, which are not renormalised, as in
// transformers.
#pragma once

#include <cstdint>
#include <vector>

#include "generate/beam_state.h"
#include "generate/generator.h"

namespace stablelm {

struct BeamResult {
  std::vector<int32_t> ids;      // generated, including a stop id
  std::vector<double> logprobs;  // of each id, from the raw logits
  double score = 0;              // see BeamOptions::length_penalty
  std::string text;              // empty without a tokenizer
  FinishReason reason = FinishReason::kLength;
  StopCause stop;
};

struct BeamSearchResult {
  std::vector<BeamResult> beams;  // best first; num_return of them, or fewer when cancelled before the first step
  double prefill_s = 0;
  double decode_s = 0;
};

// The run shape of a search: ShapeOfGenerate of the request, with one sequence per beam; all share the prompt.
RunShape ShapeOfBeamSearch(const ModelConfig& config, const GenerateRequest& request, const BeamOptions& options,
                           DType kv, size_t threads, const std::string& where = "prompt");

// Uses these fields of the request: prompt, max_new_tokens, sampling (processors only; a temperature is an Error), stop
// ids and strings, banned and known ids, max_time_s, tokenizer. Any thread may set `cancel`, which ends the search with
// the results so far.
BeamSearchResult BeamSearch(const Transformer& model, const GenerateRequest& request, const BeamOptions& options,
                            const RunShape& run, ThreadPool& pool, const std::atomic<bool>* cancel = nullptr);

}  // namespace stablelm
