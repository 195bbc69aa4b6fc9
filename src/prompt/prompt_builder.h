// The one prompt builder: from a conversation to the ids that the model sees.
//
// Markers (role tokens) are placed by id; every text, whoever wrote it, is encoded with special tokens off. So no text
// can become a control token, whatever it spells. (The markers of `alpaca` are no tokens but text: there, and only
// there, a text can imitate them.)
//
// Generation, training data, the server and `stablelm prompt` all use this builder, so all see the same ids.
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
  kMarker,   // text that belongs to the template
  kText,     // text of a message
};
const char* NameOf(PartKind kind);  // "control", "marker", "text"

// What a control token or a marker does to the turn that it belongs to. In training the loss is on what the assistant
// has to produce: its text and what closes its turn, never what opens it. (A turn of stablelm-tuned is closed by
// nothing: the token that opens the user's next turn ends the reply.)
enum class TurnEdge : uint8_t {
  kNone,    // text of a message
  kOpens,   // before the text
  kCloses,  // after the text: an end token, a line end
};

// ids[begin, end) of a prompt. Where markers and a message make one text for the tokenizer, a token that holds bytes of
// two parts belongs to the first.
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
  std::vector<PromptPart> parts;  // in order, none empty, together all of ids
};

// Immutable; safe to share between threads, each with an Encoder of its own. The calls without an encoder make one,
// whose cache of pieces starts empty; whoever builds many prompts keeps one instead. The ids are the same.
class PromptBuilder {
 public:
  // Throws Error when the tokenizer lacks a special token that the template is made of.
  PromptBuilder(Tokenizer tokenizer, PromptTemplate prompt_template);

  // The conversation, which ends with a user message, and the assistant's turn opened. Throws Error as
  // CheckConversation and RequireQuestion; `where` names the conversation.
  Prompt BuildPrompt(const Conversation& conversation, const std::string& where = {}) const;
  Prompt BuildPrompt(const Conversation& conversation, Encoder& encoder, const std::string& where = {}) const;
  // The conversation as it is, for training: an assistant's message at the end is closed as the template closes it.
  Prompt BuildTranscript(const Conversation& conversation, const std::string& where = {}) const;
  Prompt BuildTranscript(const Conversation& conversation, Encoder& encoder, const std::string& where = {}) const;
  // An encoder to keep between calls. It outlives the builder if need be, and serves all builders of one tokenizer.
  Encoder MakeEncoder() const { return Encoder(tokenizer_); }

  PromptTemplate prompt_template() const { return template_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  struct Piece;
  class Layout;
  // The pieces of one message; `first` of the conversation but for a system message.
  void AddSystem(const Message& message, Layout& layout) const;
  void AddUser(const Message& message, bool first, Layout& layout) const;
  void OpenAssistant(Layout& layout) const;
  void AddAssistant(const Message& message, Layout& layout) const;
  Layout LayOut(const Conversation& conversation, const std::string& where) const;
  Prompt Encode(const Layout& layout, Encoder& encoder) const;
  int32_t Control(const char* spelling) const;

  Tokenizer tokenizer_;
  PromptTemplate template_;
  int32_t system_ = -1, user_ = -1, assistant_ = -1, end_ = -1;  // control tokens of the template; -1: it has none
  bool line_end_in_assistant_ = false;                           // dolly-v2's "### Response:\n" is one token
};

}  // namespace stablelm
