#include "base/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/write_error.h"

namespace stablelm {

AppendFile::AppendFile(const std::filesystem::path& path, Mode mode) : path_(path) {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (mode == Mode::kNew ? O_EXCL : 0);
  fd_ = open(path.c_str(), flags, 0666);
  if (fd_ < 0) FailToWrite(path_, "cannot create", errno);
}

AppendFile::~AppendFile() { close(fd_); }

void AppendFile::Flush() const {
  if (fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) FailToWrite(path_, "cannot flush to disk", errno);
}

void AppendFile::Append(std::string_view record) {
  while (!record.empty()) {
    const ssize_t n = write(fd_, record.data(), record.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToWrite(path_, "cannot write", errno);
    record.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace stablelm
