// A file of prompts, read line by line: never more than one line is in memory. Lines of white space alone are no
// prompts and are left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct FileLine {
  uint64_t number = 0;    // in the file, from 1
  std::string_view text;  // without its line end; valid until the next call
  bool too_long = false;  // more than PromptFile::kMostLineBytes; the text is empty
};

// One thread. Throws Error: the file cannot be read, or is none (a run that is gone on with reads its file again, so a
// pipe will not do).
class PromptFile {
 public:
  static constexpr size_t kMostLineBytes = size_t{64} << 20;

  explicit PromptFile(const std::filesystem::path& path);
  PromptFile(const PromptFile&) = delete;
  PromptFile& operator=(const PromptFile&) = delete;
  ~PromptFile();

  // The next line that is not blank; no value at the end of the file.
  std::optional<FileLine> Next();
  // Goes back to the first line.
  void Rewind();

 private:
  bool Fill();  // reads on; false at the end of the file
  std::filesystem::path path_;
  int fd_ = -1;
  std::string buffer_;
  size_t begin_ = 0;  // of buffer_: what has not been given out
  uint64_t number_ = 0;
  bool end_ = false;
};

}  // namespace stablelm
