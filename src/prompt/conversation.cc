#include "prompt/conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/nearest.h"
#include "base/strict_json.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBytes = size_t{64} << 20;
// Messages, message, content and part need 4 levels. Deeper JSON than this fails in ParseStrictJson.
constexpr size_t kMaxDepth = 8;
constexpr Role kRoles[] = {Role::kSystem, Role::kUser, Role::kAssistant};

// Names the fields of a message list in errors.
class Place {
 public:
  explicit Place(const std::string& where) : prefix_(where.empty() ? "" : where + ": ") {}
  std::string List() const { return prefix_ + "messages"; }
  std::string Of(size_t index, const std::string& field = {}) const {
    return List() + "[" + std::to_string(index) + "]" + (field.empty() ? "" : "." + field);
  }

 private:
  std::string prefix_;
};

[[noreturn]] void FailConversation(std::string where, std::string what, std::string found, std::string expected,
                                   std::string hint = {}) {
  throw Error({.where = std::move(where),
               .what = std::move(what),
               .found = std::move(found),
               .expected = std::move(expected),
               .hint = std::move(hint)});
}

// The value of a required field; null counts as absent.
const Json& Needed(const Json& object, const char* field, const std::string& place, const char* expected) {
  const auto it = object.find(field);
  if (it == object.end() || it->is_null()) FailConversation(place, "missing", {}, expected);
  return *it;
}

// Names of roles and fields in other programs' files of conversations, and what they are here.
struct OtherName {
  std::string_view other, here;
};
constexpr OtherName kOtherNames[] = {
    {"from", "role"},        {"speaker", "role"},          {"author", "role"},
    {"value", "content"},    {"text", "content"},          {"message", "content"},
    {"human", "user"},       {"prompter", "user"},         {"customer", "user"},
    {"instruction", "user"}, {"gpt", "assistant"},         {"bot", "assistant"},
    {"model", "assistant"},  {"ai", "assistant"},          {"chatgpt", "assistant"},
    {"developer", "system"}, {"conversation", "messages"}, {"conversations", "messages"},
    {"chat", "messages"}};

// "write "role" for it", for such a name of something that `known` has; else empty.
std::string HintOfOthers(std::string_view name, const std::vector<std::string>& known) {
  for (const OtherName& one : kOtherNames) {
    if (one.other == name && std::ranges::find(known, one.here) != known.end()) {
      return "write " + Quoted(one.here) + " for it";
    }
  }
  return {};
}

void RefuseOtherFields(const Json& object, const std::vector<std::string>& known, const std::string& place,
                       const char* expected) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_null() || std::ranges::find(known, name) != known.end()) continue;
    std::string hint = DidYouMeanKey(name, known);
    if (hint.empty()) hint = HintOfOthers(name, known);
    FailConversation(place, "unknown field " + Quoted(name), ShownJson(value), expected,
                     hint.empty() ? "leave it out: this program does nothing with it" : hint);
  }
}

Role RoleOf(const Json& value, const std::string& place) {
  const char* expected = "\"system\", \"user\" or \"assistant\"";
  if (!value.is_string()) FailConversation(place, "not a string", ShownJson(value), expected);
  const std::string& name = value.get_ref<const std::string&>();
  std::vector<std::string> known;
  for (const Role role : kRoles) {
    if (name == NameOf(role)) return role;
    known.emplace_back(NameOf(role));
  }
  std::string hint = HintOfOthers(name, known);
  if (hint.empty()) hint = DidYouMeanKey(name, known);
  FailConversation(
      place, "unknown role", Quoted(name), expected,
      hint.empty() ? "this model knows no other roles: leave the message out, or make it one of the user's" : hint);
}

std::string TextOf(const Json& content, const std::string& place) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    FailConversation(place, "not text", ShownJson(content),
                     "a string, or a list of {\"type\": \"text\", \"text\": \"...\"}");
  }
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part = place + "[" + std::to_string(i) + "]";
    const Json& value = content[i];
    const char* expected = "{\"type\": \"text\", \"text\": \"...\"}";
    if (!value.is_object()) FailConversation(part, "not a part of a message", ShownJson(value), expected);
    const Json& type = Needed(value, "type", part + ".type", "\"text\"");
    if (type != "text") {
      FailConversation(part + ".type", "unsupported kind of content", ShownJson(type), "\"text\"",
                       "this model reads text alone");
    }
    RefuseOtherFields(value, {"type", "text"}, part, expected);
    const Json& words = Needed(value, "text", part + ".text", "a string");
    if (!words.is_string()) FailConversation(part + ".text", "not a string", ShownJson(words), "a string");
    if (i > 0) text.push_back('\n');
    text += words.get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

const char* NameOf(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
  }
  STABLELM_CHECK(false);
}

Conversation ReadMessages(const Json& messages, const std::string& where) {
  const Place place(where);
  if (!messages.is_array()) {
    FailConversation(place.List(), "not a list of messages", ShownJson(messages),
                     "[{\"role\": \"user\", \"content\": \"...\"}]");
  }
  Conversation conversation;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object()) {
      FailConversation(place.Of(i), "not a message", ShownJson(message), "{\"role\": \"user\", \"content\": \"...\"}");
    }
    RefuseOtherFields(message, {"role", "content"}, place.Of(i), "\"role\" and \"content\"");
    const Json& role = Needed(message, "role", place.Of(i, "role"), "\"system\", \"user\" or \"assistant\"");
    const Json& content = Needed(message, "content", place.Of(i, "content"), "a string");
    conversation.push_back(
        {.role = RoleOf(role, place.Of(i, "role")), .text = TextOf(content, place.Of(i, "content"))});
  }
  CheckConversation(conversation, where);
  return conversation;
}

Conversation ParseMessages(std::string_view json, const std::string& where) {
  if (json.size() > kMaxBytes) {
    FailConversation(where, "too large for a conversation", std::to_string(json.size()) + " bytes",
                     "at most " + std::to_string(kMaxBytes));
  }
  const Json root = ParseStrictJson(json, where, kMaxDepth);
  if (!root.is_object()) return ReadMessages(root, where);
  RefuseOtherFields(root, {"messages"}, where, "a list of messages, or {\"messages\": [...]} alone");
  return ReadMessages(Needed(root, "messages", Place(where).List(), "a list of messages"), where);
}

void CheckConversation(const Conversation& conversation, const std::string& where) {
  const Place place(where);
  for (size_t i = 0; i < conversation.size(); ++i) {
    const Message& message = conversation[i];
    if (const size_t bad = utf8::FirstInvalid(message.text); bad != utf8::kValid) {
      FailConversation(place.Of(i, "content"), "not UTF-8 at byte " + std::to_string(bad),
                       Quoted(std::string_view(message.text).substr(bad, 4)), "UTF-8 text");
    }
    if (message.role == Role::kSystem) {
      if (i == 0) continue;
      FailConversation(place.Of(i, "role"), "a system message in the middle", "\"system\"",
                       "at most one, at the beginning",
                       "move its text to the beginning, or into a message of the user");
    }
    const bool first = i == 0 || conversation[i - 1].role == Role::kSystem;
    const Role expected = first || conversation[i - 1].role == Role::kAssistant ? Role::kUser : Role::kAssistant;
    if (message.role == expected) continue;
    FailConversation(
        place.Of(i, "role"),
        first ? "the assistant speaks first" : "two messages of the " + std::string(NameOf(message.role)) + " in a row",
        Quoted(NameOf(message.role)), Quoted(NameOf(expected)),
        first ? "begin with a user message; instructions belong into a system message" : "join them into one message");
  }
  if (conversation.empty() || conversation.back().role == Role::kSystem) {
    FailConversation(place.List(), "an empty conversation",
                     conversation.empty() ? "no message" : "only a system message", "at least one user message",
                     "add {\"role\": \"user\", \"content\": \"...\"}");
  }
}

void RequireQuestion(const Conversation& conversation, const std::string& where) {
  STABLELM_CHECK(!conversation.empty());
  if (conversation.back().role == Role::kUser) return;
  FailConversation(Place(where).Of(conversation.size() - 1, "role"),
                   "the assistant has the last word: there is nothing to answer",
                   Quoted(NameOf(conversation.back().role)), "\"user\"", "end with a message of the user");
}

}  // namespace stablelm
