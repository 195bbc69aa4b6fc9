#include "cli/terminal/markdown_table.h"

#include <algorithm>
#include <string_view>

namespace stablelm {
namespace {

constexpr size_t kLongWord = 20;  // columns of a word from which it may be broken

std::string PlainText(const TableCell& cell) {
  std::string text;
  for (const StyledText& part : cell) text += part.text;
  return text;
}

size_t LongestWord(std::string_view text) {
  size_t longest = 1;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    longest = std::max(longest, ColumnsOf(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return std::min(longest, kLongWord);
}

struct ColumnWidth {
  size_t width = 1, least = 1;
};

// Shrinks the widest columns until the sum is at most `room`. Returns false when words would have to be broken.
bool Shrink(std::vector<ColumnWidth>& columns, size_t room) {
  size_t sum = 0, least = 0;
  for (ColumnWidth& one : columns) {
    one.width = std::min(one.width, std::max(room, one.least));
    sum += one.width;
    least += one.least;
  }
  if (least > room) return false;
  while (sum > room) {
    ColumnWidth* widest = nullptr;
    for (ColumnWidth& one : columns) {
      if (one.width > one.least && (!widest || one.width > widest->width)) widest = &one;
    }
    --widest->width, --sum;
  }
  return true;
}

std::string Padded(const std::string& row, size_t width, CellAlign align) {
  const size_t free = width - std::min(width, ColumnsOf(row));
  const size_t left = align == CellAlign::kLeft ? 0 : align == CellAlign::kRight ? free : free / 2;
  return std::string(left, ' ') + row + std::string(free - left, ' ');
}

std::vector<std::string> AsList(const TextTable& table, size_t width) {
  std::vector<std::string> rows;
  for (size_t i = 1; i < table.lines.size(); ++i) {
    if (i > 1) rows.emplace_back();
    for (size_t c = 0; c < table.lines[i].size(); ++c) {
      TableCell line;
      if (c < table.lines[0].size() && !PlainText(table.lines[0][c]).empty()) {
        line = table.lines[0][c];
        line.push_back({.text = ": ", .style = {}});
      }
      line.insert(line.end(), table.lines[i][c].begin(), table.lines[i][c].end());
      const std::vector<std::string> laid = LayOutRows(line, width, "", "  ");
      rows.insert(rows.end(), laid.begin(), laid.end());
    }
  }
  return rows;
}

}  // namespace

std::vector<std::string> TableRows(const TextTable& table, size_t width, bool bars) {
  std::vector<ColumnWidth> widths(table.align.size());
  for (const auto& line : table.lines) {
    for (size_t c = 0; c < std::min(line.size(), widths.size()); ++c) {
      const std::string text = PlainText(line[c]);
      widths[c].width = std::max(widths[c].width, ColumnsOf(text));
      widths[c].least = std::max(widths[c].least, LongestWord(text));
    }
  }
  const std::string_view left = bars ? "| " : "", between = bars ? " | " : "  ", right = bars ? " |" : "";
  const size_t frame = left.size() + right.size() + between.size() * (widths.empty() ? 0 : widths.size() - 1);
  if (widths.empty() || table.lines.empty()) return {};
  if (frame >= width || !Shrink(widths, width - frame)) {
    if (table.lines.size() > 1) return AsList(table, width);
    for (ColumnWidth& one : widths) one.width = 1;  // a header alone, while the table is written
  }
  std::vector<std::string> rows;
  for (size_t i = 0; i < table.lines.size(); ++i) {
    std::vector<std::vector<std::string>> cells(widths.size());
    size_t height = 1;
    for (size_t c = 0; c < std::min(widths.size(), table.lines[i].size()); ++c) {
      cells[c] = LayOutRows(table.lines[i][c], widths[c].width);
      height = std::max(height, cells[c].size());
    }
    for (size_t h = 0; h < height; ++h) {
      std::string row(left);
      for (size_t c = 0; c < widths.size(); ++c) {
        row += c > 0 ? between : "";
        row += Padded(h < cells[c].size() ? cells[c][h] : "", widths[c].width, table.align[c]);
      }
      row += right;
      row.resize(row.find_last_not_of(' ') + 1);
      rows.push_back(std::move(row));
    }
    if (i > 0) continue;
    std::string rule(bars ? "|" : "");
    for (size_t c = 0; c < widths.size(); ++c) {
      rule += c > 0 ? (bars ? "|" : "  ") : "";
      rule += std::string(widths[c].width + (bars ? 2 : 0), '-');
      if (bars && table.align[c] != CellAlign::kLeft) rule.back() = ':';
      if (bars && table.align[c] == CellAlign::kCenter) rule[rule.size() - widths[c].width - 2] = ':';
    }
    rows.push_back(rule + (bars ? "|" : ""));
  }
  return rows;
}

}  // namespace stablelm
