// The templates. {…} is a text, [...] a token placed by id.
//
// stablelm-tuned (model card of StableLM-Tuned-Alpha; the official Space and FastChat join turns in the same way):
//   [<|SYSTEM|>]{system}[<|USER|>]{user}[<|ASSISTANT|>]{assistant}[<|USER|>]{user}[<|ASSISTANT|>]
//   No separator between turns and no end token after an answer: the next role token ends it.
// dolly-v2 (databrickslabs/dolly training/consts.py; further turns as in FastChat's conversation.py):
//   {system}\n\n[### Instruction:]\n{user}\n\n[### Response:\n]{assistant}\n\n[### End]\n\n[### Instruction:]...
// oasst-neox (LAION-AI/Open-Assistant model_training/custom_datasets/formatting.py):
//   [<|system|>]{system}[<|endoftext|>][<|prompter|>]{user}[<|endoftext|>][<|assistant|>]{assistant}[<|endoftext|>]...
// alpaca (tatsu-lab/stanford_alpaca train.py, prompt_no_input; it has one turn, further ones follow the end token):
//   {system}\n\n### Instruction:\n{user}\n\n### Response:{assistant}[<|endoftext|>]### Instruction:...
// none: {system}{user}{assistant}{user}...
#include "prompt/prompt_builder.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr TurnEdge kOpens = TurnEdge::kOpens, kCloses = TurnEdge::kCloses;

}  // namespace

// A token placed by id, or a text.
struct PromptBuilder::Piece {
  Role role = Role::kUser;
  PartKind kind = PartKind::kText;
  TurnEdge edge = TurnEdge::kNone;
  std::string_view text;
  int32_t id = -1;
  bool joins = false;  // tokenized together with the piece before it
};

// The pieces of a prompt in order. Texts are views of the conversation and of string literals.
class PromptBuilder::Layout {
 public:
  void Control(Role role, TurnEdge edge, int32_t id) {
    pieces_.push_back({.role = role, .kind = PartKind::kControl, .edge = edge, .text = {}, .id = id});
    joinable_ = false;
  }
  // A marker and the texts around it are tokenized as one text, as in programs that format a string and encode it.
  void Marker(Role role, TurnEdge edge, std::string_view text) { Add(role, PartKind::kMarker, edge, text); }
  void Text(const Message& message) { Add(message.role, PartKind::kText, TurnEdge::kNone, message.text); }
  // The next text is tokenized separately, like a reply, which is generated after a finished prompt.
  void Border() { joinable_ = false; }

  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  void Add(Role role, PartKind kind, TurnEdge edge, std::string_view text) {
    pieces_.push_back({.role = role, .kind = kind, .edge = edge, .text = text, .id = -1, .joins = joinable_});
    joinable_ = true;
  }
  std::vector<Piece> pieces_;
  bool joinable_ = false;
};

const char* NameOf(PartKind kind) {
  switch (kind) {
    case PartKind::kControl:
      return "control";
    case PartKind::kMarker:
      return "marker";
    case PartKind::kText:
      return "text";
  }
  STABLELM_CHECK(false);
}

int32_t PromptBuilder::Control(const char* spelling) const {
  if (const std::optional<int32_t> id = SpecialTokenId(tokenizer_, spelling)) return *id;
  const bool as_text = tokenizer_.TokenId(spelling).has_value();
  const std::optional<PromptTemplate> fitting = TemplateByTokens(tokenizer_);
  throw Error({.where = "template " + std::string(NameOf(template_)),
               .what = "the tokenizer has no special token " + Quoted(spelling),
               .found = as_text ? "a token of that name that any text can spell" : "",
               .hint = fitting
                           ? "the tokenizer has the tokens of `prompt_template=" + std::string(NameOf(*fitting)) + "`"
                           : "the model was not made for this template; `prompt_template=alpaca` or none needs no role "
                             "tokens"});
}

PromptBuilder::PromptBuilder(Tokenizer tokenizer, PromptTemplate prompt_template)
    : tokenizer_(std::move(tokenizer)), template_(prompt_template) {
  switch (template_) {
    case PromptTemplate::kStableLmTuned:
      system_ = Control("<|SYSTEM|>");
      user_ = Control("<|USER|>");
      assistant_ = Control("<|ASSISTANT|>");
      break;
    case PromptTemplate::kDollyV2:
      user_ = Control("### Instruction:");
      line_end_in_assistant_ = SpecialTokenId(tokenizer_, "### Response:\n").has_value();
      assistant_ = Control(line_end_in_assistant_ ? "### Response:\n" : "### Response:");
      end_ = Control("### End");
      break;
    case PromptTemplate::kOasstNeox:
      system_ = SpecialTokenId(tokenizer_, "<|system|>").value_or(-1);  // some of these models lack it
      user_ = Control("<|prompter|>");
      assistant_ = Control("<|assistant|>");
      end_ = Control("<|endoftext|>");
      break;
    case PromptTemplate::kAlpaca:
      end_ = Control("<|endoftext|>");
      break;
    case PromptTemplate::kNone:
      break;
  }
}

void PromptBuilder::AddSystem(const Message& message, Layout& layout) const {
  switch (template_) {
    case PromptTemplate::kStableLmTuned:
      layout.Control(Role::kSystem, kOpens, system_);
      layout.Text(message);
      break;
    case PromptTemplate::kDollyV2:
    case PromptTemplate::kAlpaca:
      layout.Text(message);
      layout.Marker(Role::kSystem, kCloses, "\n\n");
      break;
    case PromptTemplate::kOasstNeox:
      layout.Control(Role::kSystem, kOpens, system_ >= 0 ? system_ : Control("<|system|>"));
      layout.Text(message);
      layout.Control(Role::kSystem, kCloses, end_);
      break;
    case PromptTemplate::kNone:
      layout.Text(message);
      layout.Border();
      break;
  }
}

void PromptBuilder::AddUser(const Message& message, bool first, Layout& layout) const {
  switch (template_) {
    case PromptTemplate::kStableLmTuned:
      layout.Control(Role::kUser, kOpens, user_);
      layout.Text(message);
      break;
    case PromptTemplate::kDollyV2:
      if (!first) layout.Marker(Role::kUser, kOpens, "\n\n");
      layout.Control(Role::kUser, kOpens, user_);
      layout.Marker(Role::kUser, kOpens, "\n");
      layout.Text(message);
      layout.Marker(Role::kUser, kCloses, "\n\n");
      break;
    case PromptTemplate::kOasstNeox:
      layout.Control(Role::kUser, kOpens, user_);
      layout.Text(message);
      layout.Control(Role::kUser, kCloses, end_);
      break;
    case PromptTemplate::kAlpaca:
      layout.Marker(Role::kUser, kOpens, "### Instruction:\n");
      layout.Text(message);
      break;
    case PromptTemplate::kNone:
      layout.Text(message);
      layout.Border();
      break;
  }
}

void PromptBuilder::OpenAssistant(Layout& layout) const {
  switch (template_) {
    case PromptTemplate::kStableLmTuned:
    case PromptTemplate::kOasstNeox:
      layout.Control(Role::kAssistant, kOpens, assistant_);
      break;
    case PromptTemplate::kDollyV2:
      layout.Control(Role::kAssistant, kOpens, assistant_);
      if (!line_end_in_assistant_) layout.Marker(Role::kAssistant, kOpens, "\n");
      break;
    case PromptTemplate::kAlpaca:
      layout.Marker(Role::kAssistant, kOpens, "\n\n### Response:");
      break;
    case PromptTemplate::kNone:
      break;
  }
  layout.Border();
}

void PromptBuilder::AddAssistant(const Message& message, Layout& layout) const {
  OpenAssistant(layout);
  layout.Text(message);
  switch (template_) {
    case PromptTemplate::kDollyV2:
      layout.Marker(Role::kAssistant, kCloses, "\n\n");
      layout.Control(Role::kAssistant, kCloses, end_);
      break;
    case PromptTemplate::kOasstNeox:
    case PromptTemplate::kAlpaca:
      layout.Control(Role::kAssistant, kCloses, end_);
      break;
    case PromptTemplate::kStableLmTuned:
    case PromptTemplate::kNone:
      layout.Border();
      break;
  }
}

PromptBuilder::Layout PromptBuilder::LayOut(const Conversation& conversation, const std::string& where) const {
  CheckConversation(conversation, where);
  Layout layout;
  bool first = true;
  for (const Message& message : conversation) {
    switch (message.role) {
      case Role::kSystem:
        AddSystem(message, layout);
        break;
      case Role::kUser:
        AddUser(message, first, layout);
        first = false;
        break;
      case Role::kAssistant:
        AddAssistant(message, layout);
        break;
    }
  }
  return layout;
}

Prompt PromptBuilder::BuildPrompt(const Conversation& conversation, Encoder& encoder, const std::string& where) const {
  Layout layout = LayOut(conversation, where);
  RequireQuestion(conversation, where);
  OpenAssistant(layout);
  return Encode(layout, encoder);
}

Prompt PromptBuilder::BuildPrompt(const Conversation& conversation, const std::string& where) const {
  Encoder encoder = MakeEncoder();
  return BuildPrompt(conversation, encoder, where);
}

Prompt PromptBuilder::BuildTranscript(const Conversation& conversation, Encoder& encoder,
                                      const std::string& where) const {
  return Encode(LayOut(conversation, where), encoder);
}

Prompt PromptBuilder::BuildTranscript(const Conversation& conversation, const std::string& where) const {
  Encoder encoder = MakeEncoder();
  return BuildTranscript(conversation, encoder, where);
}

Prompt PromptBuilder::Encode(const Layout& layout, Encoder& encoder) const {
  STABLELM_CHECK(encoder.IsOf(tokenizer_));
  Prompt prompt;
  const auto end_part = [&](const Piece& piece, size_t begin) {
    if (begin == prompt.ids.size()) return;
    prompt.parts.push_back(
        {.role = piece.role, .kind = piece.kind, .edge = piece.edge, .begin = begin, .end = prompt.ids.size()});
  };
  const std::vector<Piece>& pieces = layout.pieces();
  for (size_t i = 0; i < pieces.size();) {
    const size_t begin = prompt.ids.size();
    if (pieces[i].kind == PartKind::kControl) {
      prompt.ids.push_back(pieces[i].id);
      end_part(pieces[i], begin);
      ++i;
      continue;
    }
    size_t last = i + 1;  // pieces [i, last) are tokenized together
    while (last < pieces.size() && pieces[last].joins) ++last;
    if (last == i + 1) {
      encoder.Encode(pieces[i].text, {.parse_special = false}, prompt.ids);
      RequireNoSpecial(std::span(prompt.ids).subspan(begin), pieces[i].text, encoder);
      end_part(pieces[i], begin);
      ++i;
      continue;
    }
    std::string text;
    for (size_t piece = i; piece < last; ++piece) text += pieces[piece].text;
    Encoding encoding;
    encoder.EncodeWithOffsets(text, {.parse_special = false}, encoding);
    RequireNoSpecial(encoding.ids, text, encoder);
    size_t token = 0, byte = 0;
    for (; i < last; ++i) {
      byte += pieces[i].text.size();
      const size_t first = token, first_id = prompt.ids.size();
      while (token < encoding.ids.size() && encoding.offsets[token].begin < byte) ++token;
      prompt.ids.insert(prompt.ids.end(), encoding.ids.begin() + static_cast<ptrdiff_t>(first),
                        encoding.ids.begin() + static_cast<ptrdiff_t>(token));
      end_part(pieces[i], first_id);
    }
    STABLELM_CHECK(token == encoding.ids.size());
  }
  return prompt;
}

// Special tokens in texts are not parsed, but the merges of an unusual tokenizer could still produce one.
void PromptBuilder::RequireNoSpecial(std::span<const int32_t> ids, std::string_view text, Encoder& encoder) const {
  const auto special = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer_.IsSpecial(id); });
  if (special == ids.end()) return;
  Encoding encoding;
  encoder.EncodeWithOffsets(text, {.parse_special = false}, encoding);
  throw Error(
      {.where = "prompt",
       .what = "the tokenizer turns a text into the control token " + Quoted(tokenizer_.TokenSpelling(*special)),
       .found = Quoted(text.substr(encoding.offsets[static_cast<size_t>(special - ids.begin())].begin), 60),
       .hint = "its merges spell a special token: it is not fit for conversations"});
}

}  // namespace stablelm
