// Parts of Markdown as texts: paragraphs, code, lines with a prefix. What HTML becomes
// (dataset/clean/html_to_markdown.h) is put together from them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

inline constexpr std::string_view kHtmlSpace = " \t\n\f\r";  // what HTML takes for white space

// Without HTML's white space at both ends.
std::string_view TrimmedHtml(std::string_view text);

// One paragraph's text while it is made.
class InlineText {
 public:
  explicit InlineText(bool keep_spaces = false) : keep_spaces_(keep_spaces) {}

  // Runs of white space become one space, unless they are kept; none at the beginning. U+00A0 becomes a space.
  void AddText(std::string_view text);
  void AddVerbatim(std::string_view text) { out_ += text; }
  void Break();  // a line end, without spaces before it
  bool begins_with_space() const { return begins_with_space_; }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
  bool begins_with_space_ = false;  // that was left out
  bool keep_spaces_;
};

// A code span: more backticks around than inside, and spaces where it begins or ends with one. Line ends become spaces.
std::string CodeSpan(std::string code);

// A fenced block: the fence has three backticks, or more than any run in `code`. A line end at the end of the code is
// the one before the fence.
std::string CodeBlock(std::string_view language, std::string_view code);

// Each line with `prefix` before it, but the first with `first`, and empty ones with `empty`.
std::string PrefixedLines(std::string_view text, std::string_view first, std::string_view prefix,
                          std::string_view empty);

struct MarkdownBlock {
  std::string text;
  bool list = false;
};

// The blocks with blank lines between; before lists only a line end if `tight_lists`.
std::string JoinedBlocks(const std::vector<MarkdownBlock>& blocks, bool tight_lists);

}  // namespace stablelm
