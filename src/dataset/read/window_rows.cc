#include "dataset/read/window_rows.h"

#include <utility>

#include "dataset/read/json_text.h"

namespace stablelm {

WindowRows::WindowRows(ByteWindow window, RowFormat format) : window_(std::move(window)), format_(format) {}

DataRow WindowRows::Row(uint64_t line, std::string_view json) {
  DataRow row = {.index = index_++, .line = line, .json = json};
  row.repairs = RepairJson(json, repaired_);
  if (row.repairs > 0) {
    repaired_.reserve(repaired_.size() + kRowPadding);
    row.json = repaired_;
  }
  return row;
}

DataRow WindowRows::Broken(uint64_t line, std::string problem) {
  return {.index = index_++, .line = line, .json = {}, .problem = std::move(problem)};
}

}  // namespace stablelm
