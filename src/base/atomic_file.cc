#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"

namespace stablelm {
namespace {

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what, int error) {
  std::string hint;
  if (error == EROFS || error == EACCES) hint = "choose a folder that you may write to";
  if (error == ENOSPC || error == EDQUOT) hint = "free some disk space or choose another folder";
  if (error == ENOENT) {  // folders like /proc return it too
    std::error_code ignored;
    hint = std::filesystem::is_directory(std::filesystem::absolute(path, ignored).parent_path(), ignored)
               ? "files cannot be created in that folder: choose another"
               : "the folder does not exist: create it first";
  }
  throw Error({.where = path.string(), .what = what + ": " + std::strerror(error), .hint = hint});
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path, uint64_t preallocate) : path_(path) {
  std::string name = path.string() + ".tmp.XXXXXX";
  fd_ = mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) Fail(path_, "cannot create", errno);
  temporary_ = name;
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(fd_, 0666 & ~mask);
  if (preallocate > 0) {
    const int error = posix_fallocate(fd_, 0, static_cast<off_t>(preallocate));
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
      close(fd_);
      unlink(temporary_.c_str());
      fd_ = -1;
      Fail(path_, "no room for " + std::to_string(preallocate) + " bytes", error);
    }
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void AtomicFile::Write(std::span<const std::byte> bytes) {
  WriteAt(position_, bytes);
  position_ += bytes.size();
}

void AtomicFile::Write(std::string_view text) { Write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  STABLELM_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const size_t chunk = std::min(bytes.size(), size_t{1} << 30);
    const ssize_t n = pwrite(fd_, bytes.data(), chunk, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(path_, "cannot write", errno);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void AtomicFile::Commit() {
  STABLELM_CHECK(fd_ >= 0);
  if (fsync(fd_) != 0) Fail(path_, "cannot flush to disk", errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) Fail(path_, "cannot move the finished file into place", errno);
  close(fd_);
  fd_ = -1;
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  if (const int dir = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); dir >= 0) {
    fsync(dir);
    close(dir);
  }
}

void WriteTextFileAtomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.Write(text);
  file.Commit();
}

}  // namespace stablelm
