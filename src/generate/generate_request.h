// A generation request: a prompt, and how to continue it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "generate/sampling/sampling_options.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

struct GenerateRequest {
  std::vector<int32_t> prompt;            // at least one id
  int64_t begun = 0;                      // ids at the end of the prompt that begin the reply, which goes on as it
                                          // would have without a cut; max_new_tokens does not count them
  std::optional<int64_t> max_new_tokens;  // >= 1; empty: the rest of the context
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t sample = 0;                    // index of this sample within its request
  std::vector<int32_t> stop_ids;          // generation ends after one of these; it is in the ids, not in the text
  std::vector<std::string> stop_strings;  // generation ends when the text contains one; the text ends before it
  std::vector<int32_t> banned_ids;        // never chosen
  int64_t known_ids = 0;                  // ids >= this are padding: never chosen or listed; 0: no padding
  int64_t top_logprobs = 0;               // how many of the most likely tokens to list with each choice
  std::optional<double> max_time_s;       // no further token after this many seconds, > 0; at least one token
  // Context policy `shift`: when the context is full, keep this many first ids, drop the oldest half of the others, and
  // continue the reply (model/context_shift.h). Without max_new_tokens only a stop, a time limit or cancelling then
  // ends it. Empty: the reply ends when the context is full.
  std::optional<int64_t> keep_on_shift;
  std::optional<Tokenizer> tokenizer;  // decodes the text; required for stop strings and DRY breakers
};

}  // namespace stablelm
