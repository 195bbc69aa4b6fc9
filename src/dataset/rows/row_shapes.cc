#include "dataset/rows/row_shapes.h"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/error.h"
#include "dataset/rows/placeholder.h"
#include "dataset/rows/row_fields.h"

namespace stablelm {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

void Append(std::string& text, std::string_view more) {
  if (IsBlank(more)) return;
  text += '\n';
  text += more;
}

// The parser takes 12 bytes of memory for each value or sign, beside the texts: a row of few texts needs few.
constexpr size_t kLongRowBytes = size_t{4} << 20;  // the parser's copy of a longer row is not kept
constexpr size_t kMostValues = 8'000'000;

// Commas, colons and opening brackets outside texts.
size_t CountValues(std::string_view json) {
  size_t count = 0;
  for (size_t at = 0; (at = json.find_first_of("\",:[{", at)) != std::string_view::npos; ++at) {
    if (json[at] != '"') {
      ++count;
      continue;
    }
    for (++at; at < json.size() && json[at] != '"'; ++at) {
      if (json[at] == '\\') ++at;
    }
  }
  return count;
}

enum class RoleWord { kSystem, kUser, kAssistant, kTool, kUnknown };

// Roles as OpenAI, ShareGPT and their copies spell them.
RoleWord RoleOf(std::string_view word) {
  static constexpr std::string_view kSystems[] = {"system", "developer"};
  static constexpr std::string_view kUsers[] = {"user", "human", "prompter"};
  static constexpr std::string_view kAssistants[] = {"assistant", "gpt",   "chatgpt", "bing",
                                                     "bard",      "model", "ai",      "bot"};
  static constexpr std::string_view kTools[] = {"tool", "function", "observation", "function_call", "ipython"};
  const std::string lower = LowerAscii(word);
  const auto among = [&](std::span<const std::string_view> words) {
    return std::find(words.begin(), words.end(), lower) != words.end();
  };
  if (among(kSystems)) return RoleWord::kSystem;
  if (among(kUsers)) return RoleWord::kUser;
  if (among(kAssistants)) return RoleWord::kAssistant;
  return among(kTools) ? RoleWord::kTool : RoleWord::kUnknown;
}

// Adds one turn to a conversation. A system text belongs at the beginning.
void AddTurn(std::string_view role, std::string text, bool loss, SourceConversation& into) {
  switch (RoleOf(role)) {
    case RoleWord::kSystem:
      if (into.system || !into.turns.empty()) RefuseRow("late-system", "a system text after the beginning");
      into.system = std::move(text);
      return;
    case RoleWord::kUser:
      into.turns.push_back({Role::kUser, std::move(text), loss});
      return;
    case RoleWord::kAssistant:
      into.turns.push_back({Role::kAssistant, std::move(text), loss});
      return;
    case RoleWord::kTool:
      RefuseRow("tool", "a turn of the role " + Quoted(role));
    case RoleWord::kUnknown:
      RefuseRow("unknown-role", "the role " + Quoted(role));
  }
}

// OpenAI's `content`: a text, or a list of text parts, joined with line ends (prompt/conversation.h).
std::string ContentOf(const element& content) {
  std::string_view text;
  if (content.get(text) == simdjson::SUCCESS) return std::string(text);
  array parts;
  if (content.get(parts) != simdjson::SUCCESS) {
    RefuseRow(content.is_null() ? "null-content" : "wrong-type",
              std::string("a content that is ") + TypeNameOf(content));
  }
  std::string joined;
  bool first = true;
  for (const element& part : parts) {
    std::string_view type, piece;
    object fields;
    if (part.get(piece) == simdjson::SUCCESS) {
      type = "text";
    } else if (part.get(fields) != simdjson::SUCCESS || fields.at_key("type").get(type) != simdjson::SUCCESS) {
      RefuseRow("wrong-type", "a part of a content that is neither a text nor an object with a type");
    } else if (type != "text") {
      RefuseRow("not-text", "a part of the type " + Quoted(type));
    } else if (fields.at_key("text").get(piece) != simdjson::SUCCESS) {
      RefuseRow("null-content", "a text part without a text");
    }
    if (!first) joined += '\n';
    joined += piece;
    first = false;
  }
  return joined;
}

bool HasValue(const object& fields, std::string_view name) {
  element value;
  if (fields.at_key(name).get(value) != simdjson::SUCCESS || value.is_null()) return false;
  array list;
  return value.get(list) != simdjson::SUCCESS || list.size() != 0;
}

SourceConversation ShapeMessages(const element& row) {
  SourceConversation result;
  array messages;
  object fields;
  if (row.get(fields) == simdjson::SUCCESS) {
    messages = RequiredList(fields, "messages");
    result.id = IdOf(fields);
  } else if (row.get(messages) != simdjson::SUCCESS) {
    RefuseRow("wrong-type", std::string("the row is ") + TypeNameOf(row) + ", expected an object with \"messages\"");
  }
  for (const element& one : messages) {
    object message;
    if (one.get(message) != simdjson::SUCCESS)
      RefuseRow("wrong-type", std::string("a message that is ") + TypeNameOf(one));
    if (HasValue(message, "tool_calls") || HasValue(message, "function_call")) RefuseRow("tool", "a call of a tool");
    std::string_view role;
    if (message.at_key("role").get(role) != simdjson::SUCCESS) RefuseRow("unknown-role", "a message without a role");
    if (RoleOf(role) == RoleWord::kTool) RefuseRow("tool", "a message of the role " + Quoted(role));
    element content;
    if (message.at_key("content").get(content) != simdjson::SUCCESS)
      RefuseRow("null-content", "a message without content");
    double weight = 1;
    element given;
    if (message.at_key("weight").get(given) == simdjson::SUCCESS && !given.is_null()) {
      if (given.get(weight) != simdjson::SUCCESS || (weight != 0 && weight != 1)) {
        RefuseRow("wrong-type", "a weight of " + simdjson::to_string(given) + ", expected 0 or 1");
      }
    }
    AddTurn(role, ContentOf(content), weight != 0, result);
  }
  return result;
}

SourceConversation ShapeTurns(const object& row, std::string_view list, std::string_view role_name,
                              std::string_view text_name) {
  SourceConversation result;
  result.id = IdOf(row);
  for (const element& one : RequiredList(row, list)) {
    object turn;
    if (one.get(turn) != simdjson::SUCCESS) RefuseRow("wrong-type", std::string("a turn that is ") + TypeNameOf(one));
    std::string_view role;
    element text;
    if (turn.at_key(role_name).get(role) != simdjson::SUCCESS) {
      RefuseRow("unknown-role", "a turn without " + Quoted(role_name));
    }
    if (turn.at_key(text_name).get(text) != simdjson::SUCCESS) {
      RefuseRow("null-content", "a turn without " + Quoted(text_name));
    }
    AddTurn(role, ContentOf(text), true, result);
  }
  return result;
}

SourceConversation ShapeShareGpt(const object& row) {
  element list;
  const bool singular = row.at_key("conversations").get(list) != simdjson::SUCCESS &&
                        row.at_key("conversation").get(list) == simdjson::SUCCESS;
  SourceConversation result = ShapeTurns(row, singular ? "conversation" : "conversations", "from", "value");
  if (std::optional<std::string> system = TextAt(row, "system"); system && !result.system && !IsBlank(*system)) {
    result.system = *std::move(system);
  }
  return result;
}

SourceConversation OneExchange(std::string user, std::string assistant, std::string id) {
  SourceConversation result;
  result.id = std::move(id);
  result.turns.reserve(2);  // moved, not copied: a text may be long
  result.turns.push_back({Role::kUser, std::move(user)});
  result.turns.push_back({Role::kAssistant, std::move(assistant)});
  return result;
}

constexpr std::string_view kAlpacaAnswers[] = {"output", "response"};
constexpr std::string_view kPromptAnswers[] = {"response", "completion", "answer", "output"};
constexpr std::string_view kDollyAnswers[] = {"response", "output"};

// The scripts of the data author (Manner::kChatCombined).
constexpr std::string_view kAlpacaSystem =
    "You are to follow instructions faithfully from the user, which will begin in the next message.";
constexpr std::string_view kGpt4AllSystem = "You are a helpful AI designed to answer questions.";

constexpr std::string_view kStableAssistantSystem =
    "# StableAssistant\n"
    "- StableAssistant is A helpful and harmless Open Source AI Language Model developed by Stability and CarperAI.\n"
    "- StableAssistant is excited to be able to help the user, but will refuse to do anything that could be considered "
    "harmful to the user.\n"
    "- StableAssistant is more than just an information source, StableAssistant is also able to write poetry, short "
    "stories, and make jokes.\n"
    "- StableAssistant will refuse to participate in anything that could harm a human.";

std::string_view DollySystem(std::string_view category) {
  if (category == "summarization") {
    return "You are to summarize a passage, which will begin in the next message, along with the user's request.";
  }
  if (category == "closed_qa" || category == "open_qa" || category == "general_qa") {
    return "You are to answer a user's question, which will begin in the next message.";
  }
  if (category == "creative_writing") {
    return "You are to perform some creative writing, which will begin in the next message.";
  }
  if (category == "information_extraction") {
    return "You are to extract some information from a passage, which will begin in the next message.";
  }
  if (category == "classification") {
    return "You are to classify some text from the user's request, which will begin in the next message.";
  }
  if (category == "brainstorming") return "You are to brainstorm with a user.";
  return {};
}

}  // namespace

struct RowShaper::State {
  ShapeRules rules;
  simdjson::dom::parser parser;

  void Alpaca(const object& row, ShapedRow& out) const;
  SourceConversation PromptReply(const object& row) const;
  SourceConversation Hh(const object& row) const;
  SourceConversation Dolly(const object& row) const;
  SourceConversation Markers(const object& row) const;
  SourceConversation Columns(const object& row) const;
  void ShapeInto(const element& row, ShapedRow& out) const;
  bool chat_combined() const { return rules.manner == Manner::kChatCombined; }
};

void RowShaper::State::Alpaca(const object& row, ShapedRow& out) const {
  const std::string instruction = RequiredText(row, "instruction");
  const std::string id = IdOf(row);
  const auto add = [&](const object& fields, std::string name) {
    std::string user = instruction;
    if (const std::optional<std::string> input = TextAt(fields, "input")) {
      if (rules.placeholders && IsPlaceholder(*input)) {
        ++out.placeholders;
      } else {
        Append(user, *input);
      }
    }
    SourceConversation one = OneExchange(std::move(user), RequiredText(fields, kAlpacaAnswers), std::move(name));
    if (chat_combined()) one.system = kAlpacaSystem;
    out.conversations.push_back(std::move(one));
  };
  if (!FindField(row, "instances")) return add(row, id);
  size_t number = 0;
  for (const element& one : RequiredList(row, "instances")) {
    object instance;
    if (one.get(instance) != simdjson::SUCCESS)
      RefuseRow("wrong-type", std::string("an instance that is ") + TypeNameOf(one));
    add(instance, id.empty() ? id : id + "#" + std::to_string(number));
    ++number;
  }
  if (number == 0) RefuseRow("no-turns", "no instances");
}

SourceConversation RowShaper::State::PromptReply(const object& row) const {
  SourceConversation result = OneExchange(RequiredText(row, "prompt"), RequiredText(row, kPromptAnswers), IdOf(row));
  if (std::optional<std::string> system = TextAt(row, "system"); system && !IsBlank(*system)) {
    result.system = *std::move(system);
  }
  if (chat_combined()) result.system = kGpt4AllSystem;
  return result;
}

SourceConversation RowShaper::State::Hh(const object& row) const {
  std::string transcript;
  if (FindField(row, "prompt")) {
    static constexpr std::string_view kAnswers[] = {"response", "chosen"};
    transcript = RequiredText(row, "prompt") + " " + RequiredText(row, kAnswers);
  } else {
    transcript = RequiredText(row, "chosen");
  }
  SourceConversation result;
  result.id = IdOf(row);
  if (!SplitTranscript(transcript, result.turns)) {
    RefuseRow("not-a-transcript", "a transcript that begins with neither \"\\n\\nHuman:\" nor \"\\n\\nAssistant:\"");
  }
  return result;
}

SourceConversation RowShaper::State::Dolly(const object& row) const {
  std::string user = RequiredText(row, "instruction");
  const std::string category = TextAt(row, "category").value_or("");
  std::optional<std::string> context = TextAt(row, "context");
  if (!context) context = TextAt(row, "input");  // HuggingFaceH4's copy renamed the columns
  const bool wanted = !chat_combined() || category == "summarization" || category == "information_extraction";
  if (context && wanted) Append(user, *context);
  SourceConversation result = OneExchange(std::move(user), RequiredText(row, kDollyAnswers), IdOf(row));
  if (chat_combined()) {
    const std::string_view system = DollySystem(category);
    if (system.empty()) RefuseRow("unknown-category", "the category " + Quoted(category));
    result.system = system;
  }
  return result;
}

SourceConversation RowShaper::State::Markers(const object& row) const {
  static constexpr std::pair<std::string_view, std::string_view> kMarkers[] = {
      {"<|SYSTEM|>", "system"}, {"<|USER|>", "user"}, {"<|ASSISTANT|>", "assistant"}};
  SourceConversation result;
  result.id = IdOf(row);
  const std::string text = RequiredText(row, "text");
  std::string_view role;
  size_t begin = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t next = std::min(text.find("<|", at), text.size());
    std::string_view found;
    size_t width = 0;
    for (const auto& [marker, word] : kMarkers) {
      if (std::string_view(text).substr(next, marker.size()) == marker) {
        found = word;
        width = marker.size();
      }
    }
    if (found.empty() && next < text.size()) {
      at = next + 2;
      continue;
    }
    const std::string_view piece = std::string_view(text).substr(begin, next - begin);
    if (!role.empty()) {
      AddTurn(role, std::string(piece), true, result);
    } else if (!IsBlank(piece) || next == text.size()) {
      RefuseRow("no-markers", "the text does not begin with <|SYSTEM|>, <|USER|> or <|ASSISTANT|>");
    }
    if (next == text.size()) break;
    role = found;
    begin = at = next + width;
  }
  return result;
}

SourceConversation RowShaper::State::Columns(const object& row) const {
  const ColumnNames& names = rules.columns;
  SourceConversation result;
  if (!names.turns.empty()) {
    result = ShapeTurns(row, names.turns, names.turn_role, names.turn_text);
  } else {
    std::string user = RequiredText(row, names.user);
    if (!names.context.empty()) {
      if (!FindField(row, names.context)) RefuseMissing(row, names.context);
      Append(user, TextAt(row, names.context).value_or(""));
    }
    result = OneExchange(std::move(user), RequiredText(row, names.assistant), {});
  }
  if (!names.system.empty()) {
    if (!FindField(row, names.system)) RefuseMissing(row, names.system);
    if (std::optional<std::string> system = TextAt(row, names.system); system && !IsBlank(*system)) {
      result.system = *std::move(system);
    }
  }
  if (!names.id.empty()) result.id = IdOf(row, names.id);
  return result;
}

void RowShaper::State::ShapeInto(const element& row, ShapedRow& out) const {
  if (rules.kind == SourceKind::kMessages) return out.conversations.push_back(ShapeMessages(row));
  object fields;
  if (row.get(fields) != simdjson::SUCCESS) {
    RefuseRow("wrong-type", std::string("the row is ") + TypeNameOf(row) + ", expected an object");
  }
  switch (rules.kind) {
    case SourceKind::kShareGpt:
      return out.conversations.push_back(ShapeShareGpt(fields));
    case SourceKind::kAlpaca:
      return Alpaca(fields, out);
    case SourceKind::kPromptReply:
      return out.conversations.push_back(PromptReply(fields));
    case SourceKind::kHh:
      return out.conversations.push_back(Hh(fields));
    case SourceKind::kDolly:
      return out.conversations.push_back(Dolly(fields));
    case SourceKind::kMarkers:
      return out.conversations.push_back(Markers(fields));
    case SourceKind::kColumns:
      return out.conversations.push_back(Columns(fields));
    case SourceKind::kText: {
      SourceConversation one;
      one.document = RequiredText(fields, "text");
      one.id = IdOf(fields);
      return out.conversations.push_back(std::move(one));
    }
    case SourceKind::kMessages:
    case SourceKind::kAuto:
      break;
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> ColumnsToRead(const ShapeRules& rules, const std::vector<std::string>& present) {
  std::vector<std::string> chosen;
  bool complete = true;
  const auto has = [&](std::string_view name) { return std::ranges::find(present, name) != present.end(); };
  const auto take = [&](std::string_view name) {
    if (std::ranges::find(chosen, name) == chosen.end()) chosen.emplace_back(name);
  };
  const auto maybe = [&](std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      if (has(name)) take(name);
    }
  };
  // One of the names at least, and the others too if they are there.
  const auto need = [&](std::initializer_list<std::string_view> names) {
    complete = complete && std::ranges::any_of(names, has);
    maybe(names);
  };
  // A path that the recipe names: the column of this name, else the one before the first dot.
  const auto path = [&](const std::string& name) {
    if (name.empty()) return;
    const std::string_view column = has(name) ? name : std::string_view(name).substr(0, name.find('.'));
    complete = complete && has(column);
    take(column);
  };
  switch (rules.kind) {
    case SourceKind::kMessages:
      need({"messages"});
      break;
    case SourceKind::kShareGpt:
      need({"conversations", "conversation"});
      maybe({"system"});
      break;
    case SourceKind::kAlpaca:
      need({"instruction"});
      need({"output", "response", "instances"});
      maybe({"input"});
      break;
    case SourceKind::kPromptReply:
      need({"prompt"});
      need({"response", "completion", "answer", "output"});
      maybe({"system"});
      break;
    case SourceKind::kHh:
      need({"prompt", "chosen"});
      need({"response", "chosen"});
      break;
    case SourceKind::kDolly:
      need({"instruction"});
      need({"response", "output"});
      maybe({"category", "context", "input"});
      break;
    case SourceKind::kMarkers:
    case SourceKind::kText:
      need({"text"});
      break;
    case SourceKind::kColumns:
      for (const std::string* name : {&rules.columns.user, &rules.columns.assistant, &rules.columns.context,
                                      &rules.columns.system, &rules.columns.turns, &rules.columns.id}) {
        path(*name);
      }
      return complete ? chosen : std::vector<std::string>();
    case SourceKind::kAuto:
      STABLELM_CHECK(false);
  }
  maybe({"id"});
  return complete ? chosen : std::vector<std::string>();
}

std::optional<std::string> SystemOfSplitRow(const ShapeRules& rules) {
  if (rules.manner != Manner::kChatCombined || rules.kind != SourceKind::kPromptReply) return std::nullopt;
  return std::string(kStableAssistantSystem);
}

RowShaper::RowShaper(ShapeRules rules) : state_(std::make_unique<State>()) {
  STABLELM_CHECK(rules.kind != SourceKind::kAuto);
  state_->rules = std::move(rules);
}
RowShaper::RowShaper(RowShaper&&) noexcept = default;
RowShaper::~RowShaper() = default;

ShapedRow RowShaper::Shape(std::string_view json) {
  ShapedRow out;
  element row;
  if (json.size() > kLongRowBytes && CountValues(json) > kMostValues) {
    out.problem = {.name = "broken-row", .words = "more than " + std::to_string(kMostValues) + " values"};
    return out;
  }
  const simdjson::error_code code = state_->parser.parse(json.data(), json.size(), false).get(row);
  if (code != simdjson::SUCCESS) {
    out.problem = {.name = "not-json", .words = "not valid JSON"};
    return out;
  }
  try {
    state_->ShapeInto(row, out);
  } catch (const UnusableRow& unusable) {
    out = {};
    out.problem = unusable.problem;
  }
  if (json.size() > kLongRowBytes) state_->parser = simdjson::dom::parser();
  return out;
}

bool SplitTranscript(std::string_view transcript, std::vector<SourceTurn>& turns) {
  static constexpr std::pair<std::string_view, Role> kOpenings[] = {{"\n\nHuman:", Role::kUser},
                                                                    {"\n\nAssistant:", Role::kAssistant}};
  // The opening at this place, or of no width.
  const auto opening = [&](size_t at) -> std::pair<size_t, Role> {
    for (const auto& [marker, role] : kOpenings) {
      if (transcript.substr(at, marker.size()) == marker) return {marker.size(), role};
    }
    return {0, Role::kUser};
  };
  turns.clear();
  std::pair<size_t, Role> open = opening(0);
  if (open.first == 0) return false;
  for (size_t at = 0; at < transcript.size();) {
    const size_t begin = at + open.first;
    size_t end = begin;
    std::pair<size_t, Role> next = {0, Role::kUser};
    for (;; ++end) {
      end = std::min(transcript.find("\n\n", end), transcript.size());
      if (end == transcript.size()) break;
      next = opening(end);
      if (next.first != 0) break;
    }
    std::string_view text = transcript.substr(begin, end - begin);
    if (text.starts_with(' ')) text.remove_prefix(1);
    turns.push_back({open.second, std::string(text)});
    open = next;
    at = end;
  }
  return true;
}

}  // namespace stablelm
