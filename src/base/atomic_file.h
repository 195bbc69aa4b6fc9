// Atomic file writes: the file is either complete or absent. Writes a temporary file in the same folder, flushes it to
// disk and renames it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace stablelm {

// Use: create, Write or WriteAt, Commit. Without Commit the destructor removes the temporary file and leaves `path`
// unchanged. Several threads may call WriteAt at once on disjoint ranges; all other calls are for one thread. Throws an
// Error that names the file (read-only folder, disk full, ...).
class AtomicFile {
 public:
  // preallocate: the final size if known, so that a full disk fails before the work starts; 0 = unknown.
  explicit AtomicFile(const std::filesystem::path& path, uint64_t preallocate = 0);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void Write(std::span<const std::byte> bytes);  // appends
  void Write(std::string_view text);
  void WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  // Path of the temporary file that holds the bytes until Commit, for checking what was written.
  const std::filesystem::path& temporary() const { return temporary_; }
  // Flushes (fsync), renames over `path`, flushes the folder.
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  uint64_t position_ = 0;
};

void WriteTextFileAtomically(const std::filesystem::path& path, std::string_view text);

}  // namespace stablelm
