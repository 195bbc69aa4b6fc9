// The lines of a file or of standard input, in bounded memory: never more than one line is held. Lines of white space
// alone are left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

struct FileLine {
  uint64_t number = 0;    // in the file, from 1
  std::string_view text;  // without its line end; valid until the next call
  bool too_long = false;  // more than LineReader::kMostLineBytes; the text is empty
};

// One thread.
class LineReader {
 public:
  static constexpr size_t kMostLineBytes = size_t{64} << 20;

  // "-" is standard input. Throws Error when the file cannot be read.
  explicit LineReader(const std::filesystem::path& path);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  // The next line that is not blank; no value at the end of the file. Throws Error when reading fails.
  std::optional<FileLine> Next();
  // Goes back to the first line. Throws Error for a pipe or a terminal.
  void Rewind();

 private:
  bool Fill();  // reads on; false at the end of the file
  std::string where_;
  int fd_ = -1;
  std::string buffer_;
  size_t begin_ = 0;  // of buffer_: what has not been given out
  uint64_t number_ = 0;
  bool end_ = false;
};

// Refuses a folder, a pipe or a device before it is opened. `expected` says in the error why a file is needed.
void RequireRegularFile(const std::filesystem::path& path, const std::string& expected);

}  // namespace stablelm
