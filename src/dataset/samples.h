// From a transcript or a text to samples: documents of at most the sequence length, each with its targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataset/recipe.h"
#include "dataset/targets.h"
#include "prompt/prompt_builder.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

struct Sample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;  // [ids.size()], 0 or 1
};

// What happened to the tokens of one conversation or text:
//   written = read + system_repeated + next_turn + end - too_long - user_cut - left_out - without_targets
struct TokenAccount {
  uint64_t read = 0;             // of the transcript or text
  uint64_t written = 0;          // of its samples
  uint64_t system_repeated = 0;  // added: the system text at the beginning of further pieces
  uint64_t next_turn = 0;        // added: the token that ends a piece whose conversation goes on
  uint64_t end = 0;              // added: <|endoftext|>
  uint64_t too_long = 0;  // dropped: exchanges longer than the sequence, and the system text when nothing is left
  uint64_t user_cut = 0;  // dropped: ends of user texts (long_turn: truncate-user)
  uint64_t left_out = 0;  // dropped: line ends of the template between two pieces
  uint64_t without_targets = 0;  // dropped: pieces that would teach nothing
  uint64_t exchanges_too_long = 0;
  uint64_t users_cut = 0;
  uint64_t pieces_without_targets = 0;

  void Add(const TokenAccount& other);
  bool Balances() const;
};

struct SampleRules {
  LossRule loss = LossRule::kAssistant;
  LongTurn long_turn = LongTurn::kDrop;
  int64_t sequence_length = 4096;
  std::optional<int32_t> end_id;  // EndRule::kEndOfText: the id of <|endoftext|>
};

// Cuts a transcript (PromptBuilder::BuildTranscript, ending with an answer) at its turns, as many exchanges of question
// and answer in a piece as fit. Each piece begins with the system text. A piece whose conversation goes on ends with
// the control token that opens the next turn, in templates where that token ends an answer; the last piece ends with
// `end_id`, unless the template closes its answers itself. These tokens are targets as TargetsOf says. An exchange that
// does not fit alone is dropped, or its user text is cut at the end, between characters; a piece without targets is
// dropped.
// `mute`: as TargetsOf takes it. Appends to `out`.
void CutTranscript(const Prompt& transcript, const SampleRules& rules, std::span<const uint8_t> mute,
                   const Tokenizer& tokenizer, std::vector<Sample>& out, TokenAccount& account);

// A text without roles: cut every `sequence_length` tokens, `end_id` after its last token, every token a target but the
// first of each piece. A last piece of one token, which holds no target, is dropped.
void CutText(std::span<const int32_t> ids, const SampleRules& rules, std::vector<Sample>& out, TokenAccount& account);

}  // namespace stablelm
