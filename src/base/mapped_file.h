// A read-only memory map of a whole file. The pages belong to the page cache, not to the process's anonymous memory;
// Release gives them back behind a reader that is done with them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// Movable, not copyable. Safe to read from many threads. Throws Error when the file cannot be opened, is not a regular
// file, or cannot be mapped. An empty file gives an empty map.
// The file must not be truncated by others while mapped (the system would raise SIGBUS): as with every program that
// maps.
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

  // Advises the system: the range will be read soon (starts read-ahead).
  void WillNeed(size_t offset, size_t bytes) const;
  // Drops this process's pages of the range; they are read again on the next access. Whole pages inside the range only.
  void Release(size_t offset, size_t bytes) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole of a small text file. Throws Error, also when it is larger than max_bytes.
std::string ReadTextFile(const std::filesystem::path& path, size_t max_bytes);

}  // namespace stablelm
