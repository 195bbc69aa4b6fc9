#include "cli/data/sample_text.h"

#include "cli/app/visible_text.h"
#include "cli/terminal/text_rows.h"
#include "dataset/sample_runs.h"

namespace stablelm {
namespace {

constexpr const char* kOpen = "\xE2\x9F\xA6";
constexpr const char* kClose = "\xE2\x9F\xA7";

}  // namespace

std::string SampleText(std::span<const int32_t> ids, std::span<const uint8_t> targets, const Tokenizer& tokenizer,
                       bool color) {
  std::string text;
  bool open = false;
  ForEachRun(ids, targets, tokenizer, [&](const SampleRun& run) {
    const std::string bytes = Visible(run.bytes);
    if (color) {
      text += std::string(run.target ? "\033[32m" : "\033[2m") + (run.control ? "\033[7m" : "") + bytes + kEndOfStyle;
    } else {
      if (run.target != open) text += run.target ? kOpen : kClose;
      open = run.target;
      text += bytes;
    }
  });
  if (open) text += kClose;
  return text;
}

}  // namespace stablelm
