// From a cleaned conversation to its samples: system text, template, tokens, pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataset/recipe.h"
#include "dataset/rows/source_conversation.h"
#include "dataset/samples.h"
#include "prompt/prompt_builder.h"

namespace stablelm {

// What every conversation of a run shares.
struct EncodingSetup {
  PromptBuilder builder;
  std::optional<std::string> system;  // SystemRule::kDefault: of conversations without one
  std::vector<int32_t> stops;         // ids that end an answer: of the chat record or template
  LongTurn long_turn = LongTurn::kDrop;
  int64_t sequence_length = 4096;
  std::optional<int32_t> end_id;      // samples.h
  std::vector<std::string> specials;  // spellings of the tokenizer's special tokens (SpecialSpellings)
};
std::vector<std::string> SpecialSpellings(const Tokenizer& tokenizer);

struct EncodedConversation {
  std::vector<Sample> samples;
  TokenAccount account;
  uint64_t control_spellings = 0;  // spellings of special tokens in its texts, which stayed text
  uint64_t open_answers = 0;       // answers with targets that end in neither a stop token nor the end token
  bool round_trip = true;          // the ids of each text give its NFC form; set by Encode with check_text
};

// For one thread; `setup` outlives it.
class ConversationEncoder {
 public:
  explicit ConversationEncoder(const EncodingSetup& setup)
      : setup_(setup), encoder_(setup.builder.MakeEncoder()), nfc_(setup.builder.tokenizer().Summary().nfc) {}

  // A conversation that OrderRoles kept, or a document; it is unchanged afterwards. `loss`: of its source. Throws Error
  // as PromptBuilder does.
  EncodedConversation Encode(SourceConversation& conversation, const SystemRule& system, LossRule loss,
                             bool check_text);

 private:
  void Check(const SourceConversation& conversation, std::span<const int32_t> ids, EncodedConversation& result) const;

  const EncodingSetup& setup_;
  Encoder encoder_;
  bool nfc_;
};

// The system text that a conversation gets.
std::optional<std::string> SystemTextFor(const SourceConversation& conversation, const SystemRule& rule,
                                         const std::optional<std::string>& fallback);

}  // namespace stablelm
