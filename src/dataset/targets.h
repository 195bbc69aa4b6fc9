// The targets of a transcript: which of its tokens the model is to learn to produce. A pure function of the parts of
// the prompt (prompt/prompt_builder.h); no text is searched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataset/recipe.h"
#include "prompt/prompt_builder.h"

namespace stablelm {

// A turn: parts [begin, end) of one role. Roles alternate, so that parts of one role in a row are one turn.
struct TurnParts {
  Role role = Role::kUser;
  size_t begin = 0;
  size_t end = 0;
};
std::vector<TurnParts> TurnsOf(const Prompt& prompt);

// targets[i] is 1 if token i is a target; Hugging Face's labels[i] = ids[i] there and -100 elsewhere (the shift by one
// is the loss's). The first token is never one: nothing predicts it.
//   assistant: the text of each answer and what ends it: the parts that close the turn, or, in a template where nothing
//     does, the control token that opens the next turn.
//   last-assistant: the same of the last answer alone. assistant+markers: also the parts that open an answer.
//   all: every token.
// `mute[t]`: the answer of turn t is not learned, whatever the rule; shorter lists are filled up with 0.
std::vector<uint8_t> TargetsOf(const Prompt& prompt, LossRule rule, std::span<const uint8_t> mute = {});

}  // namespace stablelm
