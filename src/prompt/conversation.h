// A conversation: a list of messages with roles. prompt/prompt_builder.h turns it into a prompt.
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
  std::string text;  // UTF-8, unchanged: nothing is stripped
  bool operator==(const Message&) const = default;
};

using Conversation = std::vector<Message>;

// OpenAI's `messages`: a list of {"role", "content"}. `content` is a string, or a list of {"type": "text", "text"}
// whose texts are joined with line ends (as in vLLM and llama.cpp). Null fields count as absent. Other fields would
// change what the model should see and are rejected.
// Throws Error that names the field ("messages[2].role"), prefixed by `where` unless empty.
Conversation ReadMessages(const nlohmann::json& messages, const std::string& where);

// Parses a file or request body: the list itself, or {"messages": [...]}. At most 64 MiB. Throws Error as above, and
// with line and column for invalid JSON or UTF-8.
Conversation ParseMessages(std::string_view json, const std::string& where);

// Checks a conversation: it is not empty, a system message is only at the beginning, then user and assistant alternate,
// user first; every text is UTF-8. Throws Error that names the field.
void CheckConversation(const Conversation& conversation, const std::string& where);

// Checks that the last message is the user's. Throws Error that names the field. `conversation` is not empty.
void RequireQuestion(const Conversation& conversation, const std::string& where);

}  // namespace stablelm
