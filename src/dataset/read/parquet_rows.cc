#include "dataset/read/parquet_rows.h"

#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/home_folder.h"
#include "dataset/read/byte_window.h"
#include "dataset/read/helper_process.h"
#include "dataset/read/row_formats.h"

namespace stablelm {
namespace {

constexpr size_t kMostSqlBytes = 120000;  // the system takes arguments of up to 128 KB

// The memory that a file of one row group takes depends on its pages: 70 MB for pyarrow's of 1 MB; files that DuckDB
// wrote have pages of up to 100 MB, of which it holds several. allowed_paths has to be set before what locks it.
constexpr const char* kSettings =
    "SET threads=1; SET memory_limit='300MB'; SET temp_directory=''; SET autoinstall_known_extensions=false; "
    "SET autoload_known_extensions=false; SET allowed_paths=['/dev/fd/0','/dev/stdout']; "
    "SET enable_external_access=false; SET lock_configuration=true; ";
// What the file is, before it is read: a line for each column, then one with the number of rows.
constexpr const char* kSummary =
    "COPY (SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet('/dev/fd/0', "
    "hive_partitioning=false))) TO '/dev/stdout' (FORMAT json); "
    "COPY (SELECT num_rows FROM parquet_file_metadata('/dev/fd/0')) TO '/dev/stdout' (FORMAT json);";
constexpr const char* kSelectEnd =
    " FROM read_parquet('/dev/fd/0', hive_partitioning=false)) TO '/dev/stdout' (FORMAT json);";

std::string HintOf(std::string_view message) {
  if (message.starts_with("Out of Memory")) return "the file's pages are too large: write it again with smaller ones";
  if (message.find("unrecognized configuration parameter") != std::string_view::npos) {
    return "this DuckDB is too old: pipx upgrade duckdb-cli";
  }
  return "get the file again";
}

std::string Identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted.append(c == '"' ? 2 : 1, c);
  quoted += '"';
  return quoted;
}

struct Column {
  std::string name;
  std::string type;  // in DuckDB's words
};

struct FileSummary {
  std::vector<Column> columns;
  uint64_t rows = 0;
};

class ParquetFile {
 public:
  ParquetFile(const std::filesystem::path& path, const ReadOptions& options)
      : path_(path), program_(FindDuckDb(options.duckdb)), patience_s_(options.patience_s) {}

  std::unique_ptr<RowReader> Query(const std::string& sql) const {
    return JsonLineRows(ByteWindow(std::make_unique<HelperProcess>(
        HelperCommand{.program = program_,
                      .arguments = {"-init", "/dev/null", "-bail", "-batch", "-c", kSettings + sql},
                      .input = path_,
                      .patience_s = patience_s_,
                      .name = "DuckDB",
                      .hint = HintOf})));
  }

  FileSummary Summary() const {
    const std::unique_ptr<RowReader> rows = Query(kSummary);
    FileSummary summary;
    simdjson::dom::parser parser;
    while (const std::optional<DataRow> row = rows->Next()) {
      simdjson::dom::element line;
      std::string_view name, type;
      if (parser.parse(row->json.data(), row->json.size(), false).get(line) == simdjson::SUCCESS) {
        if (line["column_name"].get(name) == simdjson::SUCCESS && line["column_type"].get(type) == simdjson::SUCCESS) {
          summary.columns.push_back({std::string(name), std::string(type)});
          continue;
        }
        if (line["num_rows"].get(summary.rows) == simdjson::SUCCESS) continue;
      }
      throw Error({.where = program_.string(),
                   .what = "not the program DuckDB",
                   .found = Quoted(row->json, 80),
                   .expected = "columns of " + path_.string(),
                   .hint = "`duckdb` in the recipe names the program; `pipx install duckdb-cli` installs it"});
    }
    return summary;
  }

 private:
  std::filesystem::path path_;
  std::filesystem::path program_;
  double patience_s_;
};

std::vector<Column> Wanted(const std::vector<Column>& present, const std::vector<std::string>& names) {
  if (names.empty()) return present;
  std::vector<Column> wanted;
  for (const std::string& name : names) {
    const auto found = std::find_if(present.begin(), present.end(), [&](const Column& c) { return c.name == name; });
    STABLELM_CHECK(found != present.end());
    wanted.push_back(*found);
  }
  return wanted;
}

std::string SelectOf(const std::string& file, const std::vector<Column>& columns) {
  std::string sql;
  for (const auto& [name, type] : columns) {
    if (name.find('\0') != std::string::npos) {
      throw Error({.where = file,
                   .what = "a column's name holds a NUL byte",
                   .found = Quoted(name),
                   .hint = "rename the column"});
    }
    const std::string id = Identifier(name);
    sql += sql.empty() ? "COPY (SELECT " : ", ";
    if (type == "BLOB") {
      sql.append("TRY(decode(").append(id).append(")) AS ").append(id);
    } else if (type == "DOUBLE" || type == "FLOAT") {
      sql.append("CASE WHEN isfinite(").append(id).append(") THEN ").append(id).append(" END AS ").append(id);
    } else {
      sql += id;
    }
  }
  sql += kSelectEnd;
  if (sql.size() > kMostSqlBytes) {
    throw Error({.where = file,
                 .what = "too many columns to read together",
                 .found = std::to_string(columns.size()),
                 .hint = "name those that are wanted"});
  }
  return sql;
}

class Parquet final : public RowReader {
 public:
  Parquet(const std::filesystem::path& path, const ReadOptions& options) : file_(path.string()) {
    const ParquetFile file(path, options);
    FileSummary summary = file.Summary();
    rows_ = summary.rows;
    bytes_ = std::filesystem::file_size(path);
    for (const Column& column : summary.columns) columns_.push_back(column.name);
    if (columns_.empty()) return;
    const std::vector<std::string> names = options.columns ? options.columns(columns_) : std::vector<std::string>();
    lines_ = file.Query(SelectOf(file_, Wanted(summary.columns, names)));
  }

  RowFormat format() const override { return RowFormat::kParquet; }
  std::vector<std::string> columns() const override { return columns_; }
  uint64_t consumed() const override {
    if (rows_ == 0) return bytes_;
    return static_cast<uint64_t>(static_cast<double>(bytes_) * static_cast<double>(read_) / static_cast<double>(rows_));
  }

  std::optional<DataRow> Next() override {
    std::optional<DataRow> row = lines_ ? lines_->Next() : std::nullopt;
    if (row) {
      ++read_;
      row->line = 0;
    } else if (read_ != rows_ && !columns_.empty()) {
      throw Error({.where = file_,
                   .what = "DuckDB gave another number of rows than the file's footer says",
                   .found = std::to_string(read_),
                   .expected = std::to_string(rows_),
                   .hint = "the file is damaged: get it again; or DuckDB is too old: pipx upgrade duckdb-cli"});
    }
    return row;
  }

 private:
  std::string file_;
  std::vector<std::string> columns_;
  uint64_t rows_ = 0;  // as the file's footer says
  uint64_t read_ = 0;
  uint64_t bytes_ = 0;
  std::unique_ptr<RowReader> lines_;
};

bool IsProgram(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::filesystem::path FindDuckDb(const std::filesystem::path& named) {
  const char* const install = "sudo apt-get install -y pipx && pipx install duckdb-cli";
  if (!named.empty()) {
    const std::filesystem::path program = ExpandHome(named.string());
    if (IsProgram(program)) return program;
    throw Error({.where = named.string(),
                 .what = "not a program",
                 .expected = "the program DuckDB, which reads Parquet",
                 .hint = install});
  }
  std::vector<std::filesystem::path> folders;
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable ? variable : "";
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  folders.push_back(std::filesystem::path(HomeFolder()) / ".local" / "bin");  // where pipx puts it
  for (const std::filesystem::path& folder : folders) {
    // Never from the current folder: that may be a stranger's.
    if (folder.is_absolute() && IsProgram(folder / "duckdb")) return folder / "duckdb";
  }
  throw Error({.where = "duckdb",
               .what = "Parquet is read by the program DuckDB, which is not installed",
               .expected = "`duckdb` in PATH, or in the recipe `duckdb: PATH`",
               .hint = install});
}

std::unique_ptr<RowReader> ParquetRows(const std::filesystem::path& path, const ReadOptions& options) {
  return std::make_unique<Parquet>(path, options);
}

}  // namespace stablelm
