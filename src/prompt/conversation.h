// A conversation: who said what. Texts are only texts; what they become in a model's prompt is prompt/prompt_builder.h.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class Role : uint8_t { kSystem, kUser, kAssistant };
const char* NameOf(Role role);  // "system", "user", "assistant", as OpenAI's API spells them

struct Message {
  Role role = Role::kUser;
  std::string text;  // UTF-8, taken as it is: nothing is stripped
  bool operator==(const Message&) const = default;
};

using Conversation = std::vector<Message>;

// OpenAI's `messages`: a list of {"role", "content"}. `content` is a string, or a list of {"type": "text", "text"},
// whose texts are joined with line ends between them (as vLLM and llama.cpp do). Fields with the value null count as
// absent; other fields would change what the model should see and are refused.
// Throws Error that names the field ("messages[2].role"), after `where` when that is not empty.
Conversation ReadMessages(const nlohmann::json& messages, const std::string& where);

// The text of a file or request body: the list itself, or {"messages": [...]}. At most 64 MiB. Throws Error as above,
// and for JSON or UTF-8 that is broken with line and column.
Conversation ParseMessages(std::string_view json, const std::string& where);

// What every conversation keeps to: it is not empty, a system message stands only at the beginning, then user and
// assistant take turns, the user first; every text is UTF-8. Throws Error that names the field.
void CheckConversation(const Conversation& conversation, const std::string& where);

// That the last message is the user's, so that there is something to answer. `conversation` is not empty.
void RequireQuestion(const Conversation& conversation, const std::string& where);

}  // namespace stablelm
