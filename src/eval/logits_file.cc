#include "eval/logits_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/system.h"

namespace stablelm {
namespace {

constexpr size_t kLargestStep = size_t{1} << 30;

}  // namespace

void LogitsFile::Fail(const char* what, int error) const {
  throw Error({.where = folder_.string(),
               .what = std::string(what) + " a file for " + HumanBytes(bytes_) + " of logits: " + std::strerror(error),
               .hint = error == ENOSPC || error == EDQUOT ? "free some disk space, or check fewer tokens"
                                                          : "choose a folder that you may write to"});
}

LogitsFile::LogitsFile(const std::filesystem::path& folder, uint64_t rows, size_t width)
    : folder_(folder), bytes_(Bytes(rows, width)) {
  std::string name = (folder / ".logits.XXXXXX").string();
  fd_ = mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) Fail("cannot create", errno);
  unlink(name.c_str());
  const int error = bytes_ > 0 ? posix_fallocate(fd_, 0, static_cast<off_t>(bytes_)) : 0;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    close(fd_);
    Fail("no room for", error);
  }
}

LogitsFile::~LogitsFile() { close(fd_); }

void LogitsFile::Write(std::span<const float> rows) {
  auto bytes = std::as_bytes(rows);
  STABLELM_CHECK(bytes.size() <= bytes_ - written_);
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), std::min(bytes.size(), kLargestStep), static_cast<off_t>(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail("cannot write", errno);
    written_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void LogitsFile::Read(std::span<float> rows) {
  auto bytes = std::as_writable_bytes(rows);
  STABLELM_CHECK(bytes.size() <= written_ - read_);
  while (!bytes.empty()) {
    const ssize_t n = pread(fd_, bytes.data(), std::min(bytes.size(), kLargestStep), static_cast<off_t>(read_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fail("cannot read", n < 0 ? errno : EIO);
    read_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

}  // namespace stablelm
