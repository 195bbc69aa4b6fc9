// The order of roles: what is cut off, joined or dropped until a conversation is user, assistant, user, ..., assistant.
// Pure and thread-safe.
#pragma once

#include <optional>

#include "dataset/clean/reasons.h"
#include "dataset/rows/source_conversation.h"

namespace stablelm {

enum class RoleOrder : uint8_t {
  kStrict,  // CleanRules::role_order: conversations whose roles do not alternate are dropped
  kJoin,    // neighbours of one role are joined
};

// Applies, in this order, after texts were stripped:
//  1. kJoin alone: empty turns are removed, then each turn of the same role as the turn before is joined with it: the
//     texts with a blank line between, and `loss` only if both have it;
//  2. assistant turns before the first user turn are removed;
//  3. user turns after the last assistant turn are removed;
//  4. the conversation is dropped, for the first of these that holds: "no-question" (no user turn, as in one of a
//  system
//     text alone), "no-answer" (no assistant turn after a user turn), "roles-do-not-alternate", "empty-turn".
// A turn is empty when its text is "". Returns why the conversation is dropped; nullopt: it is kept, begins with a user
// turn, ends with an assistant turn, alternates, and has no empty turn. Adds to `changes` what 1 to 3 did, for dropped
// conversations too. The system text is not looked at.
std::optional<DropReason> OrderRoles(SourceConversation& conversation, RoleOrder order, ChangeCounts& changes);

}  // namespace stablelm
