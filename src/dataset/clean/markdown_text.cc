#include "dataset/clean/markdown_text.h"

#include <algorithm>
#include <cstddef>

namespace stablelm {
namespace {

size_t LongestRun(std::string_view text, char of) {
  size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == of ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

}  // namespace

std::string_view TrimmedHtml(std::string_view text) {
  const size_t first = text.find_first_not_of(kHtmlSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kHtmlSpace) + 1 - first);
}

void InlineText::AddText(std::string_view text) {
  constexpr std::string_view kNoBreakSpace = "\xC2\xA0";
  for (size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(kNoBreakSpace)) {
      out_ += ' ';
      at += kNoBreakSpace.size();
    } else if (keep_spaces_) {
      out_ += text[at++];
    } else if (kHtmlSpace.find(text[at]) != std::string_view::npos) {
      if (!out_.empty() && out_.back() != ' ' && out_.back() != '\n') out_ += ' ';
      if (out_.empty()) begins_with_space_ = true;
      ++at;
    } else {
      out_ += text[at++];
    }
  }
}

void InlineText::Break() {
  while (!out_.empty() && out_.back() == ' ') out_.pop_back();
  out_ += '\n';
}

std::string CodeSpan(std::string code) {
  std::replace(code.begin(), code.end(), '\n', ' ');
  if (TrimmedHtml(code).empty()) return code;
  const std::string ticks(LongestRun(code, '`') + 1, '`');
  const std::string_view pad = code.front() == '`' || code.back() == '`' ? " " : "";
  return std::string(ticks).append(pad).append(code).append(pad).append(ticks);
}

std::string CodeBlock(std::string_view language, std::string_view code) {
  if (code.ends_with('\n')) code.remove_suffix(1);
  const std::string fence(std::max<size_t>(3, LongestRun(code, '`') + 1), '`');
  return std::string(fence).append(language).append("\n").append(code).append("\n").append(fence);
}

std::string PrefixedLines(std::string_view text, std::string_view first, std::string_view prefix,
                          std::string_view empty) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (at > 0) out += '\n';
    out += at == 0 ? first : line.empty() ? empty : prefix;
    out += line;
    at = end + 1;
  }
  return out;
}

std::string JoinedBlocks(const std::vector<MarkdownBlock>& blocks, bool tight_lists) {
  std::string out;
  for (const MarkdownBlock& block : blocks) {
    if (!out.empty()) out += block.list && tight_lists ? "\n" : "\n\n";
    out += block.text;
  }
  return out;
}

}  // namespace stablelm
