// Turns a conversation into the token ids of a prompt.
//
// Role tokens are placed by id; every text is encoded with special tokens off. So no text can become a control token.
// The markers of `alpaca` are text, not tokens: only there can a text imitate them.
//
// Generation, training data, the server and `stablelm prompt` all use this builder and get the same ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "prompt/conversation.h"
#include "prompt/prompt_template.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

enum class PartKind : uint8_t {
  kControl,  // a special token, placed by id
  kMarker,   // text of the template
  kText,     // text of a message
};
const char* NameOf(PartKind kind);  // "control", "marker", "text"

// Whether a control token or marker opens or closes its turn. The training loss covers what the assistant has to
// produce: its text and what closes its turn, never what opens it. (In stablelm-tuned nothing closes a turn: the token
// that opens the user's next turn ends the reply.)
enum class TurnEdge : uint8_t {
  kNone,    // text of a message
  kOpens,   // before the text
  kCloses,  // after the text: an end token, a line end
};

// ids[begin, end) of a prompt. When markers and a message are tokenized together, a token with bytes of two parts
// belongs to the first.
struct PromptPart {
  Role role = Role::kUser;  // whose turn it belongs to
  PartKind kind = PartKind::kText;
  TurnEdge edge = TurnEdge::kNone;
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const PromptPart&) const = default;
};

struct Prompt {
  std::vector<int32_t> ids;
  std::vector<PromptPart> parts;  // in order, none empty; they cover all ids
};

// Immutable; threads may share it, each with its own Encoder. Calls without an encoder make a new one with an empty
// cache; keep an encoder to build many prompts faster. The ids are the same.
class PromptBuilder {
 public:
  // Throws Error when the tokenizer lacks a special token of the template.
  PromptBuilder(Tokenizer tokenizer, PromptTemplate prompt_template);

  // The prompt of a conversation that ends with a user message, up to the opening of the assistant's turn. Throws Error
  // as CheckConversation and RequireQuestion; `where` names the conversation.
  Prompt BuildPrompt(const Conversation& conversation, const std::string& where = {}) const;
  Prompt BuildPrompt(const Conversation& conversation, Encoder& encoder, const std::string& where = {}) const;
  // The conversation alone, for training: a final assistant message is closed as in the template.
  Prompt BuildTranscript(const Conversation& conversation, const std::string& where = {}) const;
  Prompt BuildTranscript(const Conversation& conversation, Encoder& encoder, const std::string& where = {}) const;
  // An encoder to keep between calls. It may outlive the builder and serves all builders of the same tokenizer.
  Encoder MakeEncoder() const { return Encoder(tokenizer_); }

  PromptTemplate prompt_template() const { return template_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  struct Piece;
  class Layout;
  // Add the pieces of one message. `first`: the first user message.
  void AddSystem(const Message& message, Layout& layout) const;
  void AddUser(const Message& message, bool first, Layout& layout) const;
  void OpenAssistant(Layout& layout) const;
  void AddAssistant(const Message& message, Layout& layout) const;
  Layout LayOut(const Conversation& conversation, const std::string& where) const;
  Prompt Encode(const Layout& layout, Encoder& encoder) const;
  void RequireNoSpecial(std::span<const int32_t> ids, std::string_view text, Encoder& encoder) const;
  int32_t Control(const char* spelling) const;

  Tokenizer tokenizer_;
  PromptTemplate template_;
  int32_t system_ = -1, user_ = -1, assistant_ = -1, end_ = -1;  // control tokens of the template; -1: none
  bool line_end_in_assistant_ = false;                           // dolly-v2's "### Response:\n" is one token
};

}  // namespace stablelm
