// Reads a data file row by row, in bounded memory. Each row is the text of one JSON value, whatever the format of the
// file: an element of a JSON array, a line of JSON lines, an object of strings made of a row of CSV, {"text": ...} of a
// text, an object made of a row of Parquet.
//
// The reader finds where rows begin and end and repairs their text, but does not parse it: a row that is not valid JSON
// shows when its consumer parses it, and is counted there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class RowFormat : uint8_t { kJsonArray, kJsonLines, kCsv, kTsv, kText, kParquet };
const char* NameOf(RowFormat format);  // "JSON array", "JSON lines", ...

inline constexpr size_t kMostRowBytes = size_t{64} << 20;
inline constexpr size_t kRowPadding = 64;  // readable bytes after a row: simdjson need not copy it

struct DataRow {
  uint64_t index = 0;        // row of the file, from 0; broken rows count
  uint64_t line = 0;         // where it begins, from 1, in the decompressed file; 0: the format has no lines
  std::string_view json;     // UTF-8 without escapes of lone surrogates, kRowPadding behind; valid until the next call
  uint64_t repairs = 0;      // ill-formed sequences and lone surrogates that became U+FFFD
  std::string problem = {};  // not empty: the row is broken, and why; json is empty
};

struct ReadOptions {
  std::optional<RowFormat> format = {};  // else by name and content
  // Of Parquet: chooses among the file's columns those to read. None, or no function: all.
  std::function<std::vector<std::string>(const std::vector<std::string>& present)> columns = {};
  std::filesystem::path duckdb = {};  // DuckDB's program; empty: `duckdb` in PATH or ~/.local/bin
  double patience_s = 120;            // that program counts as hanging when nothing comes for so long
};

// One file, plain or compressed (gzip of several members, zstd). For one thread.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // The next row; nullopt at the end of the file. Throws Error, with the place, when the rest of the file cannot be
  // read: cut-off compression, an array without end.
  virtual std::optional<DataRow> Next() = 0;
  virtual RowFormat format() const = 0;
  // Bytes of the file (as it lies on disk) that were consumed, for progress.
  virtual uint64_t consumed() const = 0;
  // Names of the columns, for formats that have them before the first row (CSV, Parquet); else empty.
  virtual std::vector<std::string> columns() const { return {}; }
};

// Throws Error when the file cannot be opened or is of no known format.
std::unique_ptr<RowReader> OpenRows(const std::filesystem::path& path, const ReadOptions& options = {});

}  // namespace stablelm
