#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/broken_link.h"
#include "base/error.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace stablelm {
namespace {

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what, int error) {
  std::string hint;
  if (error == ENOENT) hint = "check the path";
  if (error == EACCES) hint = "check the file's permissions";
  throw Error({.where = path.string(), .what = what + ": " + std::strerror(error), .hint = hint});
}

// Opens a regular file for reading and gets its size.
int OpenRegular(const std::filesystem::path& path, size_t& size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    RefuseBrokenLink(path);
    Fail(path, "cannot open", error);
  }
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    Fail(path, "cannot read its size", error);
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    throw Error({.where = path.string(),
                 .what = "not a regular file",
                 .found = S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket",
                 .expected = "a file"});
  }
  size = static_cast<size_t>(info.st_size);
  return fd;
}

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int fd = OpenRegular(path, size_);
  if (size_ > 0) {
    void* p = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
    const int error = errno;
    close(fd);
    if (p == MAP_FAILED) {
      size_ = 0;
      Fail(path, "cannot map into memory", error);
    }
    data_ = static_cast<const std::byte*>(p);
  } else {
    close(fd);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::WillNeed(size_t offset, size_t bytes) const {
  if (!data_ || bytes == 0) return;
  const size_t begin = offset / PageSize() * PageSize();
  madvise(const_cast<std::byte*>(data_) + begin, std::min(size_, offset + bytes) - begin, MADV_WILLNEED);
}

void MappedFile::Release(size_t offset, size_t bytes) const {
  if (!data_) return;
  const size_t page = PageSize();
  const size_t begin = (offset + page - 1) / page * page;
  const size_t stop = std::min(size_, offset + bytes);
  const size_t end = stop == size_ ? stop : stop / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

std::string ReadTextFile(const std::filesystem::path& path, size_t max_bytes) {
  size_t size = 0;
  const int fd = OpenRegular(path, size);
  if (size > max_bytes) {
    close(fd);
    throw Error({.where = path.string(),
                 .what = "file too large",
                 .found = std::to_string(size) + " bytes",
                 .expected = "at most " + std::to_string(max_bytes) + " bytes"});
  }
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = read(fd, text.data() + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      close(fd);
      Fail(path, "cannot read", error);
    }
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  close(fd);
  text.resize(have);
  return text;
}

}  // namespace stablelm
