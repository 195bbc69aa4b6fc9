// A read-only memory map of a whole file. Its pages are page cache, not anonymous memory; Release drops those that
// the reader no longer needs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// Movable, not copyable. Safe to read from many threads. Throws Error when the file cannot be opened, is not a regular
// file, or cannot be mapped. An empty file gives an empty map.
// Other processes must not truncate the file while it is mapped: reads would raise SIGBUS.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  // Starts read-ahead of the range (madvise).
  void WillNeed(size_t offset, size_t bytes) const;
  // Drops this process's pages of the range; the next access reads them again. Only pages entirely inside the range.
  void Release(size_t offset, size_t bytes) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Reads a small text file whole. Throws Error, also when the file is larger than max_bytes.
std::string ReadTextFile(const std::filesystem::path& path, size_t max_bytes);

}  // namespace stablelm
