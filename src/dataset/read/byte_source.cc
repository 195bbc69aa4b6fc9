#include "dataset/read/byte_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/broken_link.h"
#include "base/error.h"
#include "base/line_reader.h"
#include "base/read_error.h"

namespace stablelm {
namespace {

class FileBytes final : public ByteSource {
 public:
  explicit FileBytes(const std::filesystem::path& path) : where_(path.string()) {
    RefuseBrokenLink(path);
    RequireRegularFile(path, "a data file");
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) FailToRead(where_, "cannot open", errno);
    posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes() override { close(fd_); }

  size_t Read(char* into, size_t bytes) override {
    ssize_t n;
    do {
      n = read(fd_, into, bytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) FailToRead(where_ + ": byte " + std::to_string(consumed_), "cannot read", errno);
    consumed_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }
  uint64_t consumed() const override { return consumed_; }

 private:
  std::string where_;
  int fd_ = -1;
  uint64_t consumed_ = 0;
};

}  // namespace

std::unique_ptr<ByteSource> OpenFileBytes(const std::filesystem::path& path) {
  return std::make_unique<FileBytes>(path);
}

}  // namespace stablelm
