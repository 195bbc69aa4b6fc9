// Renders simple Markdown for a terminal: emphasis, code, headings, lists, quotes. Works on a growing text too: shows
// marks that are not closed yet as plain text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// `text` must contain no control characters except line ends and tabs. Keeps its line ends and removes only Markdown
// marks: HTML, tables and link targets stay visible. Rows are at most `width` columns wide. Writes escape sequences
// only with `color`.
std::vector<std::string> MarkdownRows(std::string_view text, size_t width, bool color);

}  // namespace stablelm
