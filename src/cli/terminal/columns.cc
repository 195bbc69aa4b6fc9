#include "cli/terminal/columns.h"

#include <algorithm>

#include "cli/terminal/text_rows.h"

namespace stablelm {

std::string InColumns(const std::vector<std::string>& texts, size_t width) {
  if (texts.empty()) return {};
  constexpr size_t kGap = 2;
  size_t widest = 0;
  for (const std::string& text : texts) widest = std::max(widest, ColumnsOf(text));
  const size_t column = widest + kGap;
  const size_t columns = std::max<size_t>(1, (width + kGap - 1) / column);
  const size_t rows = (texts.size() + columns - 1) / columns;
  std::string out;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = row; i < texts.size(); i += rows) {
      out += texts[i];
      if (i + rows < texts.size()) out.append(column - ColumnsOf(texts[i]), ' ');
    }
    out += "\n";
  }
  return out;
}

}  // namespace stablelm
