#include "cli/generating/prompt_text.h"

#include "base/error.h"
#include "cli/app/visible_text.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

const char* ColorOf(Role role) {
  switch (role) {
    case Role::kSystem:
      return "\033[35m";  // magenta: yellow is hard to read on white
    case Role::kUser:
      return "\033[32m";  // green
    case Role::kAssistant:
      return "\033[36m";  // cyan
  }
  STABLELM_CHECK(false);
}

}  // namespace

std::string PartBytes(const Prompt& prompt, const PromptPart& part, const Tokenizer& tokenizer) {
  return tokenizer.DecodeBytes(std::span(prompt.ids).subspan(part.begin, part.end - part.begin));
}

std::string Painted(const PromptPart& part, const std::string& text, bool color) {
  if (!color) return text;
  return ColorOf(part.role) + std::string(part.kind == PartKind::kControl ? "\033[7m" : "") + text + kEndOfStyle;
}

std::string PromptText(const Prompt& prompt, const Tokenizer& tokenizer, bool color) {
  std::string text;
  for (const PromptPart& part : prompt.parts) {
    text += Painted(part, Visible(PartBytes(prompt, part, tokenizer)), color);
  }
  return text;
}

}  // namespace stablelm
