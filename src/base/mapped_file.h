// A read-only memory map of a whole file. Its pages are page cache, not anonymous memory; Release drops those that
// the reader no longer needs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// How a file's bytes come into memory. File systems that refuse shared maps (FUSE with direct_io, 9p, some network
// mounts) may allow private ones, which are the same for a file that is never written; the others are read into memory
// whole.
enum class FileAccess { kShared, kPrivate, kRead };

// Movable, not copyable. Safe to read from many threads. Throws Error when the file cannot be opened, is not a regular
// file, or can be neither mapped nor read. An empty file gives an empty map.
// A file that another process cuts off while it is mapped raises SIGBUS on reading: a program's handler finds the file
// by PathAt.
class MappedFile {
 public:
  MappedFile() = default;
  // `first`: the access to try first; the ones after it follow.
  explicit MappedFile(const std::filesystem::path& path, FileAccess first = FileAccess::kShared);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  FileAccess access() const { return access_; }
  // The path of the mapped file that holds this address, nullptr if none does. Async-signal-safe.
  static const char* PathAt(const void* address);

  // Starts read-ahead of the range (madvise).
  void WillNeed(size_t offset, size_t bytes) const;
  // Drops this process's pages of the range; the next access reads them again. Only pages entirely inside the range.
  void Release(size_t offset, size_t bytes) const;

 private:
  struct Range;
  void Fill(int fd);

  std::filesystem::path path_;
  FileAccess access_ = FileAccess::kShared;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  const Range* range_ = nullptr;
};

// Reads a small text file whole. Throws Error, also when the file is larger than max_bytes.
std::string ReadTextFile(const std::filesystem::path& path, size_t max_bytes);

}  // namespace stablelm
