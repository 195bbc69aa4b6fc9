// Any text as HTML: what is recognised becomes Markdown of bounded length that is UTF-8, or is refused; what is not
// recognised is parsed too, because the limits must hold for it as well. The rules for texts see the same bytes.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "dataset/clean/code_ranges.h"
#include "dataset/clean/html_to_markdown.h"
#include "dataset/clean/text_rules.h"

namespace {

using namespace stablelm;

void CheckHtml(const std::string& text) {
  const bool html = LooksLikeHtml(text);
  const std::optional<std::string> markdown = HtmlToMarkdown(text);
  if (!markdown) return;
  STABLELM_CHECK(utf8::FirstInvalid(*markdown) == utf8::kValid);
  STABLELM_CHECK(markdown->size() <= 4 * text.size() + (size_t{64} << 10));
  STABLELM_CHECK(!html || text.find('<') != std::string::npos);
}

void CheckRules(const std::string& text) {
  size_t at = 0;
  for (const TextRange& range : CodeRanges(text)) {
    STABLELM_CHECK(at <= range.begin && range.begin < range.end && range.end <= text.size());
    at = range.end;
  }
  for (auto rule : {Strip, RemoveCopyCode, DecodeEntities}) {
    std::string changed = text;
    const bool counted = rule(changed) > 0;
    STABLELM_CHECK(counted || changed == text);
    STABLELM_CHECK(utf8::FirstInvalid(changed) == utf8::kValid && changed.size() <= text.size());
  }
  std::string plain = text;
  RemoveControlCharacters(plain);
  STABLELM_CHECK(utf8::FirstInvalid(plain) == utf8::kValid);
  STABLELM_CHECK(RemoveControlCharacters(plain) == ControlChanges{});
  SourceConversation conversation{.turns = {{Role::kUser, text}, {Role::kAssistant, text}}};
  SplitEndMarkers(conversation);
  STABLELM_CHECK(conversation.turns.size() >= 2 && conversation.turns[0].text == text);
  IsRefusal(text);
  IsErrorMessage(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text = utf8::ReplaceInvalid({reinterpret_cast<const char*>(data), size});
  CheckHtml(text);
  CheckRules(text);
  return 0;
}
