// A stream of bytes: a file as it lies on disk, or what its compression holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace stablelm {

// For one thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Reads at least one and at most `bytes` (> 0) bytes; 0: the end. Bytes before a fault are delivered as far as
  // they could be decompressed; the call after them throws Error, with file and offset.
  virtual size_t Read(char* into, size_t bytes) = 0;
  // Bytes consumed of the file on disk.
  virtual uint64_t consumed() const = 0;
};

// Throws Error when the file cannot be opened or is not a regular file.
std::unique_ptr<ByteSource> OpenFileBytes(const std::filesystem::path& path);

// The content of `source`: decompressed if it begins as gzip (of any number of members) or zstd (of any number of
// frames), else as it is. `where` names the file in errors. Needs 32 KB of memory for gzip, up to 128 MB for zstd (its
// window).
std::unique_ptr<ByteSource> Decompressed(std::unique_ptr<ByteSource> source, const std::string& where);

}  // namespace stablelm
