// Reads a file or standard input line by line, holding at most one line in memory. Skips blank lines (white space
// only).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

struct FileLine {
  uint64_t number = 0;    // line number in the file, from 1
  std::string_view text;  // without the newline; valid until the next call
  bool too_long = false;  // longer than LineReader::kMostLineBytes; the text is empty
};

// Not thread-safe.
class LineReader {
 public:
  static constexpr size_t kMostLineBytes = size_t{64} << 20;

  // "-" is standard input. Throws Error when the file cannot be read.
  explicit LineReader(const std::filesystem::path& path);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  // The next line that is not blank; nullopt at the end of the file. Throws Error when reading fails.
  std::optional<FileLine> Next();
  // Goes back to the first line. Throws Error for a pipe or a terminal.
  void Rewind();

 private:
  bool Fill();  // reads more bytes; false at the end of the file
  std::string where_;
  int fd_ = -1;
  std::string buffer_;
  size_t begin_ = 0;  // offset in buffer_ of the next line
  uint64_t number_ = 0;
  bool end_ = false;
};

// Throws Error if the path is a folder, a pipe or a device, without opening it. `expected` goes into the error and says
// why a file is needed.
void RequireRegularFile(const std::filesystem::path& path, const std::string& expected);

}  // namespace stablelm
