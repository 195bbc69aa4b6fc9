// Tables of the bench commands: text, Markdown, comma-separated values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stablelm {

enum class TableFormat : uint8_t { kText, kMarkdown, kCsv };

// The first row is the head. Text: the first column is left-aligned, the others right-aligned.
std::string Table(const std::vector<std::vector<std::string>>& rows, TableFormat format);

}  // namespace stablelm
