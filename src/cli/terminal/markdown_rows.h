// Markdown for a terminal, lightly: emphasis, code, headings, lists, quotes. For texts that are still growing too: what
// is not closed yet is shown as it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// `text` without control characters but line ends and tabs. Line ends of the text stay line ends. Nothing but marks is
// left out: HTML, tables and link targets are shown. Rows are at most `width` columns wide; without `color` no escape
// sequence is used.
std::vector<std::string> MarkdownRows(std::string_view text, size_t width, bool color);

}  // namespace stablelm
