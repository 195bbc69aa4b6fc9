// All cleaning steps that look at one conversation, in their order.
#pragma once

#include <optional>

#include "dataset/clean/clean_rules.h"
#include "dataset/clean/reasons.h"
#include "dataset/rows/source_conversation.h"

namespace stablelm {

// Changes the conversation as `rules` say, in this order: HTML or entities, "Copy code", control characters, "</s>" in
// answers, white space at the ends, the order of roles, error messages and boilerplate, language. Entities of texts
// that are HTML are left to the conversion. System texts and documents lose their control characters alone. Returns why
// it is dropped; nullopt: it is kept. Adds to `changes`. Pure and thread-safe.
std::optional<DropReason> CleanConversation(SourceConversation& conversation, const CleanRules& rules,
                                            ChangeCounts& changes);

}  // namespace stablelm
