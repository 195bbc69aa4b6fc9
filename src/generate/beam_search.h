// Beam search over the model: the most likely continuations as a whole, instead of one token after the other.
//
// All beams go through the model as one ragged batch; the prompt's part of the cache is shared between them. At each
// step the processors of the sampling options (bans and penalties, no filters) work on the log-probabilities, which are
// not normalised again afterwards: transformers' rule.
#pragma once

#include <cstdint>
#include <vector>

#include "generate/beam_state.h"
#include "generate/generator.h"

namespace stablelm {

struct BeamResult {
  std::vector<int32_t> ids;      // generated, a stop id included
  std::vector<double> logprobs;  // of each, in the raw logits
  double score = 0;              // see BeamOptions::length_penalty
  std::string text;              // empty without a tokenizer
  FinishReason reason = FinishReason::kLength;
  StopCause stop;
};

struct BeamSearchResult {
  std::vector<BeamResult> beams;  // best first, num_return of them; fewer when cancelled before the first step
  double prefill_s = 0;
  double decode_s = 0;
};

// The run of a search: ShapeOfGenerate of one beam, for as many sequences as there are beams, which have the prompt in
// common.
RunShape ShapeOfBeamSearch(const ModelConfig& config, const GenerateRequest& request, const BeamOptions& options,
                           DType kv, size_t threads, const std::string& where = "prompt");

// Of the request: prompt, max_new_tokens, sampling (its processors; a temperature is an Error), stop ids and strings,
// banned and known ids, max_time_s, tokenizer. `cancel`, set by anyone, ends the search with what it has.
BeamSearchResult BeamSearch(const Transformer& model, const GenerateRequest& request, const BeamOptions& options,
                            const RunShape& run, ThreadPool& pool, const std::atomic<bool>* cancel = nullptr);

}  // namespace stablelm
