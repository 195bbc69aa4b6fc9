#include "dataset/clean/clean_conversation.h"

#include <algorithm>

#include "dataset/clean/english.h"
#include "dataset/clean/html_to_markdown.h"
#include "dataset/clean/roles.h"
#include "dataset/clean/text_rules.h"

namespace stablelm {
namespace {

void CleanControl(std::string& text, ChangeCounts& changes) {
  const ControlChanges control = RemoveControlCharacters(text);
  changes[TextChange::kControlCharacters] += control.removed;
  changes[TextChange::kLineEnds] += control.line_ends;
}

std::optional<DropReason> NotEnglish(const SourceConversation& conversation, const CleanRules& rules) {
  if (rules.english && IsNotEnglish(conversation, rules.english_threshold)) return DropReason::kNotEnglish;
  return std::nullopt;
}

void CleanHtml(std::string& text, ChangeCounts& changes) {
  if (std::optional<std::string> markdown = HtmlToMarkdown(text)) {
    text = *std::move(markdown);
    ++changes[TextChange::kHtml];
  } else {
    ++changes[TextChange::kHtmlRefused];
  }
}

}  // namespace

std::optional<DropReason> CleanConversation(SourceConversation& conversation, const CleanRules& rules,
                                            ChangeCounts& changes) {
  if (rules.control_characters) {
    if (conversation.system) CleanControl(*conversation.system, changes);
    if (conversation.document) CleanControl(*conversation.document, changes);
  }
  if (conversation.document) {
    if (conversation.document->empty()) return DropReason::kEmptyTurn;
    return NotEnglish(conversation, rules);
  }
  for (SourceTurn& turn : conversation.turns) {
    const bool html = rules.html && LooksLikeHtml(turn.text);
    if (html) CleanHtml(turn.text, changes);
    if (rules.entities && !html) changes[TextChange::kEntities] += DecodeEntities(turn.text);
    if (rules.copy_code) changes[TextChange::kCopyCode] += RemoveCopyCode(turn.text);
    if (rules.control_characters) CleanControl(turn.text, changes);
  }
  if (rules.end_markers) changes[TextChange::kEndMarkers] += SplitEndMarkers(conversation);
  if (rules.strip) {
    for (SourceTurn& turn : conversation.turns) changes[TextChange::kStripped] += Strip(turn.text) > 0 ? 1 : 0;
  }
  const RoleOrder order = rules.role_order ? RoleOrder::kStrict : RoleOrder::kJoin;
  if (const std::optional<DropReason> reason = OrderRoles(conversation, order, changes)) return reason;
  for (const SourceTurn& turn : conversation.turns) {
    if (turn.role != Role::kAssistant) continue;
    if (rules.error_messages && IsErrorMessage(turn.text)) return DropReason::kErrorMessage;
    if (rules.refusals && IsRefusal(turn.text)) return DropReason::kRefusal;
  }
  return NotEnglish(conversation, rules);
}

}  // namespace stablelm
