// Recognizes, by its first bytes, a file that is not what its name says: a Git LFS pointer, a web page, a packed file,
// a model of another format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stablelm {

enum class FileKind : uint8_t {
  kUnknown,
  kLfsPointer,  // what a clone without LFS has in place of large files
  kWebPage,
  kPacked,  // by gzip, xz, zstd or bzip2
  kGguf,
  kSafetensors,
  kTorch,  // also any other zip archive
  kJson,
  kText,   // a message, not longer than 4 KiB
  kZeros,  // the space of a download that has not come
};

FileKind KindOf(std::string_view content);

// Throws an Error that says what the file is, and how to get the right one, when its kind is known and not the
// `expected` one. `where` is the file's path.
void RefuseOtherKind(const std::string& where, std::string_view content, FileKind expected);
// The same for a pointer alone, where all other kinds may be.
void RefuseLfsPointer(const std::string& where, std::string_view content);

}  // namespace stablelm
