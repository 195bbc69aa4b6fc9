// A conversation as a data set tells it, before templates and tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "prompt/conversation.h"

namespace stablelm {

struct SourceTurn {
  Role role = Role::kUser;  // never kSystem
  std::string text;         // UTF-8
  bool loss = true;         // false: the row says that this turn is not to be learned (OpenAI's `weight: 0`)
  bool operator==(const SourceTurn&) const = default;
};

struct SourceConversation {
  std::optional<std::string> system = {};    // the row's own system text
  std::vector<SourceTurn> turns = {};        // as found: order and emptiness are checked later
  std::optional<std::string> document = {};  // text without roles; then there are no turns
  std::string id = {};                       // the row's own name; empty: none
  bool operator==(const SourceConversation&) const = default;
};

}  // namespace stablelm
