// Lays out a table of styled cells in aligned columns for a terminal.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal/text_rows.h"

namespace stablelm {

enum class CellAlign { kLeft, kCenter, kRight };

using TableCell = std::vector<StyledText>;
struct TextTable {
  std::vector<CellAlign> align;               // of each column
  std::vector<std::vector<TableCell>> lines;  // the first is the header; a line may have fewer cells
};

// Rows of at most `width` columns: cells are wrapped by words; when the columns become too narrow for that, each line
// becomes a list of "header: cell". `bars` draws | between the cells, as in Markdown.
std::vector<std::string> TableRows(const TextTable& table, size_t width, bool bars);

}  // namespace stablelm
