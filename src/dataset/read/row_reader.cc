#include "dataset/read/row_reader.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <utility>

#include "base/ascii.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/utf8.h"
#include "dataset/read/byte_source.h"
#include "dataset/read/byte_window.h"
#include "dataset/read/json_value_end.h"
#include "dataset/read/parquet_rows.h"
#include "dataset/read/row_formats.h"

namespace stablelm {
namespace {

constexpr size_t kHeadBytes = size_t{1} << 16;
const char* const kKnownNames = ".json, .jsonl, .ndjson, .csv, .tsv, .txt, .parquet, each also with .gz or .zst";

// The name's extension without that of a compression: ".json" of "part.json.gz".
std::string Extension(const std::filesystem::path& path) {
  const std::string last = LowerAscii(path.extension().string());
  const bool compressed = last == ".gz" || last == ".gzip" || last == ".zst" || last == ".zstd";
  return compressed ? LowerAscii(path.stem().extension().string()) : last;
}

std::optional<RowFormat> FormatOfName(const std::string& extension) {
  static constexpr std::pair<std::string_view, RowFormat> kNames[] = {
      {".json", RowFormat::kJsonArray},   {".jsonl", RowFormat::kJsonLines},
      {".ndjson", RowFormat::kJsonLines}, {".jsonlines", RowFormat::kJsonLines},
      {".csv", RowFormat::kCsv},          {".tsv", RowFormat::kTsv},
      {".txt", RowFormat::kText},         {".text", RowFormat::kText},
      {".md", RowFormat::kText},          {".parquet", RowFormat::kParquet}};
  for (const auto& [name, format] : kNames) {
    if (name == extension) return format;
  }
  return std::nullopt;
}

// Files that are read in no way, by how they begin.
void RefuseOthers(const std::string& file, std::string_view head, const std::string& extension) {
  struct Other {
    std::string_view magic;
    const char* what;
    std::string hint;
  };
  using std::string_view_literals::operator""sv;
  const Other others[] = {
      {"PK\x03\x04", "a zip archive", "unzip it"},
      {"BZh", "compressed with bzip2", "bunzip2 FILE"},
      {"\xFD"
       "7zXZ\0"sv,
       "compressed with xz", "xz -d FILE"},
      {"\x04\x22\x4D\x18", "compressed with lz4", "lz4 -d FILE"},
      {"\xFF\xFE", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > NEW"},
      {"\xFE\xFF", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > NEW"},
      {"\x1F\x8B", "compressed twice", "gunzip it once"},
      {"\x28\xB5\x2F\xFD", "compressed twice", "unzstd it once"},
      {"\x89HDF\r\n", "an HDF5 file", ""},
      {"SQLite format 3\0"sv, "a database of SQLite", ""},
  };
  if (extension == ".arrow" || head.starts_with("ARROW1") || head.starts_with("\xFF\xFF\xFF\xFF")) {
    // Of the `datasets` library, which leaves them in its cache.
    throw Error({.where = file,
                 .what = "an Arrow file",
                 .expected = "Parquet",
                 .hint = "python3 -c 'import datasets, sys; "
                         "datasets.Dataset.from_file(sys.argv[1]).to_parquet(sys.argv[2])' FILE.arrow FILE.parquet"});
  }
  for (const Other& other : others) {
    if (!head.starts_with(other.magic)) continue;
    throw Error({.where = file,
                 .what = "of no known format",
                 .found = other.what,
                 .expected = kKnownNames,
                 .hint = other.hint});
  }
}

// Whether the first line of the head is a whole JSON value. Of a line longer than the head nothing is known: true.
bool FirstLineIsValue(std::string_view text, bool whole_file) {
  const size_t newline = text.find('\n');
  if (newline == std::string_view::npos && !whole_file) return true;
  JsonValueEnd value;
  value.Start();
  const std::string_view line = text.substr(0, newline);
  return value.Scan(line) == JsonValueEnd::Found::kEnd &&
         line.find_first_not_of(" \t\r", value.position()) == std::string_view::npos;
}

RowFormat FormatOf(const std::string& file, const std::string& extension, std::string_view head, bool whole_file) {
  const std::optional<RowFormat> by_name = FormatOfName(extension);
  if (head.starts_with("PAR1")) return RowFormat::kParquet;
  if (by_name && by_name != RowFormat::kJsonArray && by_name != RowFormat::kJsonLines) return *by_name;
  const size_t first = std::min(head.find_first_not_of(" \t\r\n"), head.size());
  const std::string_view text = head.substr(first);
  if (text.empty() && by_name == RowFormat::kJsonLines) return RowFormat::kJsonLines;
  if (text.empty()) {
    throw Error({.where = file, .what = "the file is empty", .expected = "rows", .hint = "get the file again"});
  }
  if (text[0] == '[') {
    const bool lines = by_name == RowFormat::kJsonLines && FirstLineIsValue(text, whole_file);
    return lines ? RowFormat::kJsonLines : RowFormat::kJsonArray;
  }
  if (by_name == RowFormat::kJsonLines) return *by_name;
  if (text[0] == '{') {
    if (FirstLineIsValue(text, whole_file)) return RowFormat::kJsonLines;
    throw Error({.where = file,
                 .what = "one JSON object over several lines",
                 .expected = "an array of rows, or JSON lines",
                 .hint =
                     "if a key holds the rows: jq .KEY FILE > NEW.json; if objects follow each other: jq -c . FILE > "
                     "NEW.jsonl"});
  }
  throw Error({.where = file,
               .what = "of no known format",
               .found = Quoted(text.substr(0, 40), 40),
               .expected = by_name ? "[ or {" : kKnownNames,
               .hint = "the name tells the format, or `format` in the recipe"});
}

// Whether the file itself, not what its compression holds, is Parquet: its reader opens it anew.
void CheckParquet(const std::filesystem::path& path) {
  char magic[4] = {};
  const std::unique_ptr<ByteSource> source = OpenFileBytes(path);
  size_t have = 0;
  while (have < sizeof magic) {
    const size_t n = source->Read(magic + have, sizeof magic - have);
    if (n == 0) break;
    have += n;
  }
  const std::string_view found(magic, have);
  if (found == "PAR1") return;
  const bool compressed = found.starts_with("\x1F\x8B") || found == "\x28\xB5\x2F\xFD";
  const char* hint = compressed ? "decompress it: Parquet compresses its pages itself" : "get the file again";
  if (found == "PARE") hint = "the file is encrypted: write it again without";
  throw Error({.where = path.string(),
               .what = "not a Parquet file",
               .found = Quoted(found),
               .expected = "\"PAR1\"",
               .hint = hint});
}

}  // namespace

const char* NameOf(RowFormat format) {
  switch (format) {
    case RowFormat::kJsonArray:
      return "JSON array";
    case RowFormat::kJsonLines:
      return "JSON lines";
    case RowFormat::kCsv:
      return "CSV";
    case RowFormat::kTsv:
      return "TSV";
    case RowFormat::kText:
      return "text";
    case RowFormat::kParquet:
      return "Parquet";
  }
  STABLELM_CHECK(false);
}

std::unique_ptr<RowReader> OpenRows(const std::filesystem::path& path, const ReadOptions& options) {
  const std::string file = path.string();
  ByteWindow window(Decompressed(OpenFileBytes(path), file));
  const bool whole_file = !window.FillTo(kHeadBytes);
  const std::string_view head = window.text();
  const std::string extension = Extension(path);
  RefuseLfsPointer(path.string(), head);
  RefuseOthers(file, head, extension);
  if (head.starts_with(utf8::kByteOrderMark)) window.Skip(utf8::kByteOrderMark.size());
  switch (options.format ? *options.format : FormatOf(file, extension, window.text(), whole_file)) {
    case RowFormat::kJsonArray:
      return JsonArrayRows(std::move(window), file);
    case RowFormat::kJsonLines:
      return JsonLineRows(std::move(window));
    case RowFormat::kCsv:
      return CsvRows(std::move(window), file, RowFormat::kCsv);
    case RowFormat::kTsv:
      return CsvRows(std::move(window), file, RowFormat::kTsv);
    case RowFormat::kText:
      return TextRows(std::move(window));
    case RowFormat::kParquet:
      CheckParquet(path);
      return ParquetRows(path, options);
  }
  STABLELM_CHECK(false);
}

}  // namespace stablelm
