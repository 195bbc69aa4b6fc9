// Conversations: messages, and how they become a prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stablelm/generation.h"

namespace stablelm {

// How a conversation is written for the model (docs/prompting.md).
enum class ChatTemplate : uint8_t { kModel, kStableLmTuned, kDollyV2, kOasstNeox, kAlpaca, kNone };  // kModel: its own
const char* NameOf(ChatTemplate chat_template);  // "stablelm-tuned", ...; "model" for kModel

// What to do when prompt and reserve do not fit the context.
enum class OverflowPolicy : uint8_t {
  kError,            // ErrorKind::kPromptTooLong
  kDropOldestTurns,  // leave out the oldest turns, as few as needed; keeps the system message
  kShift,            // as kDropOldestTurns; a reply that fills the context drops the oldest half of it and continues
  kStop,             // the prompt must fit, without a reserve; the reply ends when the context is full
};

enum class ChatRole : uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text = {};  // UTF-8; no text can become a control token
};

struct ChatSettings {
  ChatTemplate prompt_template = ChatTemplate::kModel;
  std::optional<std::string> system = {};  // replaces the system messages of conversation and model
  bool no_system = false;                  // no system text at all
  OverflowPolicy context_policy = OverflowPolicy::kDropOldestTurns;
  std::optional<int64_t> reserve = {};  // tokens reserved for the reply; empty: the policy's default
  GenerationSettings generation = {};
};

}  // namespace stablelm
