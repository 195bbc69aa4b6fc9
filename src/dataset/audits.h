// Audits: signs that the tokens are not what they should be. They stop the run unless the recipe waives them by name.
#pragma once

#include <vector>

#include "dataset/prepare.h"

namespace stablelm {

// Shares of targets below or above which an audit speaks up. One word that answers a page is still above the lower one.
// Of sources whose loss is on all tokens only the lower one counts.
inline constexpr double kLeastTargetShare = 0.001, kMostTargetShare = 0.99;

// What the accounts show:
//   targets       a source has no target at all
//   target-share  the share of targets among a source's tokens is outside the bounds
//   turn-end      answers do not end in a stop token of the chat record or template, or in the end token
//   round-trip    the ids of a text do not give NFC of the text
//   vocabulary    the tokenizer has ids beyond the model's vocabulary
std::vector<AuditFinding> AuditPreparation(const PrepareSetup& setup, const std::vector<SourceAccount>& sources);

// Throws the Error that lists what was not waived.
[[noreturn]] void ThrowFindings(const std::vector<AuditFinding>& findings);

}  // namespace stablelm
