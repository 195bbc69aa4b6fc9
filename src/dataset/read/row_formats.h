// The readers behind OpenRows (row_reader.h), one for each format of text. `file` names the file in errors.
#pragma once

#include <memory>
#include <string>

#include "dataset/read/byte_window.h"
#include "dataset/read/row_reader.h"

namespace stablelm {

// Elements of the array that begins the window.
std::unique_ptr<RowReader> JsonArrayRows(ByteWindow window, const std::string& file);
std::unique_ptr<RowReader> JsonLineRows(ByteWindow window);
// RFC 4180 with either separator; the first row names the columns. Throws Error if it cannot.
std::unique_ptr<RowReader> CsvRows(ByteWindow window, const std::string& file, RowFormat format);
// One row, {"text": the whole file}.
std::unique_ptr<RowReader> TextRows(ByteWindow window);

}  // namespace stablelm
