// Renders simple Markdown for a terminal: emphasis, code, headings, lists, quotes, tables. Works on a growing text too:
// shows marks that are not closed yet as plain text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// `text` must contain no control characters except line ends and tabs. Keeps its line ends. Rows are at most `width`
// columns wide, except lines of code, which are never wrapped. With `color`, escape sequences take the place of marks;
// without it the marks stay. HTML stays visible, entities become characters.
std::vector<std::string> MarkdownRows(std::string_view text, size_t width, bool color);

}  // namespace stablelm
