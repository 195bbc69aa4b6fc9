#include "dataset/clean/clean_conversation.h"

#include <utility>

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

void ConvertHtml(std::string& text, ChangeCounts& changes) {
  std::optional<std::string> markdown = HtmlToMarkdown(text);
  ++changes[markdown ? TextChange::kHtml : TextChange::kHtmlRefused];
  if (markdown) text = std::move(*markdown);
}

}  // namespace

std::optional<DropReason> CleanConversation(SourceConversation& conversation, const CleanRules& rules,
                                            ChangeCounts& changes) {
  if (rules.control_characters) {
    if (conversation.system) CleanControl(*conversation.system, changes);
    if (conversation.document) CleanControl(*conversation.document, changes);
  }
  const auto language = [&]() -> std::optional<DropReason> {
    if (rules.english && IsNotEnglish(conversation, rules.english_threshold)) return DropReason::kNotEnglish;
    return std::nullopt;
  };
  if (conversation.document) return conversation.document->empty() ? DropReason::kEmptyTurn : language();
  for (SourceTurn& turn : conversation.turns) {
    const bool html = (rules.html || rules.entities) && LooksLikeHtml(turn.text);
    if (html && rules.html) ConvertHtml(turn.text, changes);
    if (!html && rules.entities) changes[TextChange::kEntities] += DecodeEntities(turn.text);
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
  return language();
}

}  // namespace stablelm
