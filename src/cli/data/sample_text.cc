#include "cli/data/sample_text.h"

#include "cli/app/visible_text.h"

namespace stablelm {
namespace {

constexpr const char* kOpen = "\xE2\x9F\xA6";
constexpr const char* kClose = "\xE2\x9F\xA7";

}  // namespace

std::string SampleText(std::span<const int32_t> ids, std::span<const uint8_t> targets, const Tokenizer& tokenizer,
                       bool color) {
  std::string text;
  bool open = false;
  for (size_t i = 0; i < ids.size();) {
    // A run of one look: its bytes are decoded together, a character may lie in several tokens.
    const bool target = targets[i] != 0, control = tokenizer.IsSpecial(ids[i]);
    size_t end = i + 1;
    while (end < ids.size() && (targets[end] != 0) == target && tokenizer.IsSpecial(ids[end]) == control) ++end;
    const std::string bytes = Visible(tokenizer.DecodeBytes(ids.subspan(i, end - i)));
    if (color) {
      text += std::string(target ? "\033[32m" : "\033[2m") + (control ? "\033[7m" : "") + bytes + "\033[0m";
    } else {
      if (target != open) text += target ? kOpen : kClose;
      open = target;
      text += bytes;
    }
    i = end;
  }
  if (open) text += kClose;
  return text;
}

}  // namespace stablelm
