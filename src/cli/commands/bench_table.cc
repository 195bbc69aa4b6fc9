#include "cli/commands/bench_table.h"

#include <algorithm>

namespace stablelm {

std::string Table(const std::vector<std::vector<std::string>>& rows, TableFormat format) {
  std::string text;
  if (format != TableFormat::kText) {
    const bool markdown = format == TableFormat::kMarkdown;
    for (size_t r = 0; r < rows.size(); ++r) {
      for (size_t c = 0; c < rows[r].size(); ++c) {
        const bool quoted = !markdown && rows[r][c].find(',') != std::string::npos;
        text += (markdown ? "| " : c > 0 ? "," : "") + (quoted ? "\"" + rows[r][c] + "\"" : rows[r][c]);
        if (markdown) text += " ";
      }
      text += markdown ? "|\n" : "\n";
      if (markdown && r == 0) {
        for (size_t c = 0; c < rows[0].size(); ++c) text += c == 0 ? "|---" : "|---:";
        text += "|\n";
      }
    }
    return text;
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - row[c].size(), ' ');
      text += c == 0 ? row[c] + space : "  " + space + row[c];
    }
    text += "\n";
  }
  return text;
}

}  // namespace stablelm
