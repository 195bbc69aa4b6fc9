// Conversations for the tests of the cleaning rules.
#pragma once

#include <string>

#include "dataset/rows/source_conversation.h"

namespace stablelm {

inline SourceConversation Of(const std::string& user, const std::string& assistant) {
  return {.turns = {{Role::kUser, user}, {Role::kAssistant, assistant}}};
}

}  // namespace stablelm
