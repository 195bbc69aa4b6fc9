// DRY ("don't repeat yourself", p-e-w, text-generation-webui #5677): penalises tokens that would extend a repetition;
// longer repetitions are penalised more. Follows llama.cpp's llama_sampler_dry.
//
// When the last n ids of the context also occur earlier, the id that followed them there gets n (the largest over its
// occurrences). If n >= allowed_length: s -= multiplier * base ^ (n - allowed_length). A repetition never extends back
// over a breaker (a string such as a line break), and a token that contains a breaker is never penalised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace stablelm {

struct DryOptions {
  double multiplier = 0;
  double base = 1.75;
  int64_t allowed_length = 2;
};

class Dry {
 public:
  explicit Dry(int64_t vocab_size) : longest_(static_cast<size_t>(vocab_size)) {}

  // `window`: the ids to search. `tokenizer` may be null: no breakers. Time is linear in the window plus the text of
  // the longest repetition.
  void Apply(std::span<float> scores, std::span<const int32_t> window, const DryOptions& options,
             const Tokenizer* tokenizer, std::span<const std::string> breakers);

 private:
  std::vector<int32_t> reversed_, match_;
  std::vector<int32_t> longest_;  // per id; zero between calls
  std::string text_;
};

// How many of the last `most` ids come after the token in which the last breaker of their text ends; `most` when there
// is no breaker. Breakers that begin before these ids count too.
size_t IdsAfterBreaker(std::span<const int32_t> ids, size_t most, const Tokenizer& tokenizer,
                       std::span<const std::string> breakers, std::string& text);

}  // namespace stablelm
