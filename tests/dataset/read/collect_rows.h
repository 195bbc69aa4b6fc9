// Writes a file and reads its rows, for tests of readers.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/read/row_reader.h"
#include "temp_folder.h"

namespace stablelm {

// A row that outlives the next one.
struct KeptRow {
  uint64_t index = 0, line = 0;
  std::string json;
  uint64_t repairs = 0;
  std::string problem;
};

inline std::vector<KeptRow> CollectRows(RowReader& reader) {
  std::vector<KeptRow> rows;
  while (const std::optional<DataRow> row = reader.Next()) {
    rows.push_back({row->index, row->line, std::string(row->json), row->repairs, row->problem});
  }
  return rows;
}

inline void WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class RowFiles {
 public:
  std::filesystem::path Path(const std::string& name) const { return folder_.path() / name; }
  std::filesystem::path Write(const std::string& name, std::string_view bytes) const {
    WriteBytes(Path(name), bytes);
    return Path(name);
  }
  std::vector<KeptRow> Read(const std::string& name, std::string_view bytes, const ReadOptions& options = {}) const {
    return CollectRows(*OpenRows(Write(name, bytes), options));
  }

 private:
  TempFolder folder_;
};

// "LINE:JSON" of each row, "LINE!" of a broken one.
inline std::vector<std::string> Summary(const std::vector<KeptRow>& rows) {
  std::vector<std::string> all;
  for (const KeptRow& row : rows) {
    all.push_back(std::to_string(row.line) + (row.problem.empty() ? ":" + row.json : "!"));
  }
  return all;
}

}  // namespace stablelm
