// What is asked of a model: a prompt, and how to continue it.
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
  std::optional<int64_t> max_new_tokens;  // >= 1; empty: what is left of the context
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t sample = 0;                    // number of this sample within its request
  std::vector<int32_t> stop_ids;          // generation ends after one of these; it is part of the ids, not of the text
  std::vector<std::string> stop_strings;  // generation ends when the text holds one; the text ends before it
  std::vector<int32_t> banned_ids;        // never chosen
  int64_t known_ids = 0;                  // ids from here on are padding: never chosen, never listed; 0: none
  int64_t top_logprobs = 0;               // how many of the most likely tokens to list with each choice
  std::optional<double> max_time_s;       // no further token after this many seconds, > 0; there is always one
  // Context policy `shift`: when the context is full, the first so many ids stay, the oldest half of what follows them
  // is dropped, and the reply goes on (model/context_shift.h), with no end but its own when there is no
  // max_new_tokens. Empty: the reply ends.
  std::optional<int64_t> keep_on_shift;
  std::optional<Tokenizer> tokenizer;  // makes the text; stop strings and DRY's breakers need it
};

}  // namespace stablelm
