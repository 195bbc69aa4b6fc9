// A file that grows by whole records, so that a reader, and the next start after a crash, find half a record at its end
// at most.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace stablelm {

// For one thread. Throws Error, which names the file, when it cannot be opened or written.
class AppendFile {
 public:
  // kNew: the file must not exist. kOpen: it is created when it does not exist, and keeps what it has.
  enum class Mode { kNew, kOpen };
  explicit AppendFile(const std::filesystem::path& path, Mode mode = Mode::kOpen);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  const std::filesystem::path& path() const { return path_; }
  // One write, unless the system takes only a part of it.
  void Append(std::string_view record);
  // Flushes what was appended to the disk. Any thread.
  void Flush() const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace stablelm
