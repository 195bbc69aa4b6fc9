// Writing a file so that it is either whole or not there: a temporary file in the same folder, flushed to disk,
// renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace stablelm {

// Create, Write or WriteAt, Commit. Destroyed without Commit, the temporary file is removed and nothing changes at
// `path`. WriteAt may be called from several threads at once on disjoint ranges; the rest is for one thread. Throws
// Error (read-only folder, disk full, ...), which names the file.
class AtomicFile {
 public:
  // preallocate: the final size when it is known, so that a full disk is seen before the work; 0 = unknown.
  explicit AtomicFile(const std::filesystem::path& path, uint64_t preallocate = 0);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void Write(std::span<const std::byte> bytes);  // appends
  void Write(std::string_view text);
  void WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  // Where the bytes are until Commit: for a look at what was written before it gets its name.
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
