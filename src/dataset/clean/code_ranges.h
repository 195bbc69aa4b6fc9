// Where a Markdown text holds code: what the cleaning steps must not touch.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct TextRange {
  size_t begin = 0;
  size_t end = 0;  // not in the range
  bool operator==(const TextRange&) const = default;
};

// The ranges of code, ascending and disjoint, delimiters included:
//  - fenced blocks: a line of any indentation that begins with three or more ` or ~ (behind ` no other ` on that line),
//    to the end of the next line that holds only as many of the same or more, or to the end of the text;
//  - outside of them, code spans: n backticks to the next run of exactly n backticks in the same paragraph. Paragraphs
//    end at blank lines and at fences.
// Linear in the length, but for a sort of the lengths of backtick runs.
std::vector<TextRange> CodeRanges(std::string_view text);

// The text without its ranges of code.
std::string WithoutCode(std::string_view text);

}  // namespace stablelm
