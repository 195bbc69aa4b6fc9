#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/broken_link.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/read_error.h"
#include "base/signal_list.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace stablelm {
namespace {

// Opens a regular file for reading and gets its size.
int OpenRegular(const std::filesystem::path& path, size_t& size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // never waits for the writer of a pipe
  if (fd < 0) {
    const int error = errno;
    RefuseBrokenLink(path);
    FailToRead(path.string(), "cannot open", error);
  }
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    FailToRead(path.string(), "cannot read its size", error);
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    throw Error({.where = path.string(),
                 .what = "not a regular file",
                 .found = S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket",
                 .expected = "a file",
                 .hint = "put the file itself there"});
  }
  size = static_cast<size_t>(info.st_size);
  return fd;
}

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

// The range of a mapped file, for signal handlers.
struct MappedFile::Range {
  const std::byte* begin = nullptr;
  size_t size = 0;
  char path[4096] = {};

  static SignalList<Range> all;
};
constinit SignalList<MappedFile::Range> MappedFile::Range::all;

MappedFile::MappedFile(const std::filesystem::path& path, FileAccess first) : path_(path), access_(first) {
  const int fd = OpenRegular(path, size_);
  if (size_ == 0) {
    close(fd);
    return;
  }
  try {
    Fill(fd);
  } catch (...) {
    close(fd);
    if (data_) munmap(data_, size_);
    throw;
  }
  close(fd);
  if (access_ == FileAccess::kRead) return;
  range_ = Range::all.Add([&](Range& range) {
    range.begin = data_;
    range.size = size_;
    range.path[path.string().copy(range.path, sizeof range.path - 1)] = '\0';
  });
}

void MappedFile::Fill(int fd) {
  const auto map = [&](int protection, int flags, int from) {
    void* p = mmap(nullptr, size_, protection, flags, from, 0);
    data_ = p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
    return data_ != nullptr;
  };
  if (access_ == FileAccess::kShared && map(PROT_READ, MAP_SHARED, fd)) return;
  if (access_ != FileAccess::kRead && map(PROT_READ, MAP_PRIVATE, fd)) {
    access_ = FileAccess::kPrivate;
    return;
  }
  access_ = FileAccess::kRead;
  if (!map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
    FailToRead(path_.string(), "cannot map or read into memory", errno);
  for (size_t have = 0; have < size_;) {
    const ssize_t n = pread(fd, data_ + have, std::min(size_ - have, size_t{1} << 30), static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToRead(path_.string(), "cannot read", errno);
    if (n == 0) FailToRead(path_.string(), "cut off while it was read, at byte " + std::to_string(have), EIO);
    have += static_cast<size_t>(n);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      access_(other.access_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      range_(std::exchange(other.range_, nullptr)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(access_, other.access_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(range_, other.range_);
  return *this;
}

MappedFile::~MappedFile() {
  if (range_) Range::all.Remove(range_);
  if (data_) munmap(data_, size_);
}

const char* MappedFile::PathAt(const void* address) {
  const char* path = nullptr;
  Range::all.ForEach([&](const Range& range) {
    const auto at = static_cast<const std::byte*>(address);
    if (at >= range.begin && at < range.begin + range.size) path = range.path;
  });
  return path;
}

void MappedFile::WillNeed(size_t offset, size_t bytes) const {
  if (!data_ || bytes == 0 || access_ == FileAccess::kRead) return;
  const size_t begin = offset / PageSize() * PageSize();
  madvise(data_ + begin, std::min(size_, offset + bytes) - begin, MADV_WILLNEED);
}

void MappedFile::Release(size_t offset, size_t bytes) const {
  if (!data_ || access_ == FileAccess::kRead) return;
  const size_t page = PageSize();
  const size_t begin = (offset + page - 1) / page * page;
  const size_t stop = std::min(size_, offset + bytes);
  const size_t end = stop == size_ ? stop : stop / page * page;
  if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

std::string ReadTextFile(const std::filesystem::path& path, size_t max_bytes) {
  size_t size = 0;
  const int fd = OpenRegular(path, size);
  if (size > max_bytes) {
    close(fd);
    throw Error({.where = path.string(),
                 .what = "file too large",
                 .found = Counted(size, "byte"),
                 .expected = "at most " + std::to_string(max_bytes) + " bytes",
                 .hint = "is it another file than the one meant? check the path"});
  }
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = read(fd, text.data() + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      close(fd);
      FailToRead(path.string(), "cannot read", error);
    }
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  close(fd);
  text.resize(have);
  return text;
}

}  // namespace stablelm
