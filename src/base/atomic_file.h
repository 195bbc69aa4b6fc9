// Atomic file writes: the file is either complete or absent. Writes a temporary file in the same folder, flushes it to
// disk and renames it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/temporary_paths.h"

namespace stablelm {

// Use: create, Write or WriteAt, Commit. Without Commit the temporary file is removed (base/temporary_paths.h) and
// `path` unchanged. Several threads may call WriteAt at once on disjoint ranges; all other calls are for one thread.
// Throws an Error that names the file (read-only folder, disk full, ...).
class AtomicFile {
 public:
  // preallocate: the final size if known, so that a full disk fails before the work starts; 0 = unknown.
  // replace: whether a file of this name may be replaced; empty: if there is one now.
  // shown: the path to name in errors, if the folder is a temporary one (base/temporary_paths.h).
  explicit AtomicFile(const std::filesystem::path& path, uint64_t preallocate = 0, std::optional<bool> replace = {},
                      const std::filesystem::path& shown = {});
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(std::span<const std::byte> bytes);  // appends
  void Write(std::string_view text);
  void WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  // Path of the temporary file that holds the bytes until Commit, for checking what was written.
  const std::filesystem::path& temporary() const { return file_.path(); }
  // Flushes (fsync), renames to `path`, flushes the folder. A file that may not be replaced is an error, and the
  // finished one is then PATH.new, or PATH.new2, ...
  void Commit();

 private:
  std::filesystem::path path_, shown_;
  bool replaces_;
  TemporaryPath file_;
  uint64_t position_ = 0;
};

void WriteTextFileAtomically(const std::filesystem::path& path, std::string_view text,
                             const std::filesystem::path& shown = {});

}  // namespace stablelm
