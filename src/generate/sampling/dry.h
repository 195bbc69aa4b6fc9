// DRY ("don't repeat yourself", p-e-w, text-generation-webui #5677): penalises the tokens that would go on with a
// repetition, the more the longer it is already. Follows llama.cpp's llama_sampler_dry.
//
// For each earlier place whose preceding ids equal the end of the context over n ids, the id that followed there gets n
// (the largest of its places). n >= allowed_length: s -= multiplier * base ^ (n - allowed_length). A repetition does
// not reach back over a breaker (a string such as a line break), and a token that holds a breaker is never penalised.
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

  // `window`: the ids that are searched. `tokenizer` may be null: there are no breakers then. The time is linear in the
  // window, plus the text of the longest repetition.
  void Apply(std::span<float> scores, std::span<const int32_t> window, const DryOptions& options,
             const Tokenizer* tokenizer, std::span<const std::string> breakers);

 private:
  std::vector<int32_t> reversed_, match_;
  std::vector<int32_t> longest_;  // per id; zero between calls
  std::string text_;
};

// How many of the last `most` ids come after the token with which the last breaker in their text ends; `most` when
// there is none. Breakers that begin before them count as far as ids are there.
size_t IdsAfterBreaker(std::span<const int32_t> ids, size_t most, const Tokenizer& tokenizer,
                       std::span<const std::string> breakers, std::string& text);

}  // namespace stablelm
