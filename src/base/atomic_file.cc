#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/counted.h"
#include "base/error.h"
#include "base/write_error.h"

namespace stablelm {
namespace {

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path, uint64_t preallocate, std::optional<bool> replace,
                       const std::filesystem::path& shown)
    : path_(path),
      shown_(shown.empty() ? path : shown),
      replaces_(replace.value_or(Exists(path))),
      file_(path, TemporaryPath::Kind::kFile, shown_) {
  file_.SetUsualPermissions();
  if (preallocate > 0) {
    const int error = posix_fallocate(file_.fd(), 0, static_cast<off_t>(preallocate));
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
      FailToWrite(shown_, "no room for " + Counted(preallocate, "byte"), error);
    }
  }
}

void AtomicFile::Write(std::span<const std::byte> bytes) {
  WriteAt(position_, bytes);
  position_ += bytes.size();
}

void AtomicFile::Write(std::string_view text) { Write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  STABLELM_CHECK(file_.fd() >= 0);
  while (!bytes.empty()) {
    const size_t chunk = std::min(bytes.size(), size_t{1} << 30);
    const ssize_t n = pwrite(file_.fd(), bytes.data(), chunk, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToWrite(shown_, "cannot write", errno);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void AtomicFile::Commit() {
  STABLELM_CHECK(file_.fd() >= 0);
  if (fsync(file_.fd()) != 0) FailToWrite(shown_, "cannot flush to disk", errno);
  const int error = file_.MoveTo(path_, replaces_);
  if (error == EEXIST) {
    // Nothing of either is lost: the finished file goes beside the one that came meanwhile.
    const std::filesystem::path beside = file_.MoveBeside(path_);
    throw Error(
        {.where = shown_.string(),
         .what = "there is a file of this name, which is not replaced",
         .hint = beside.empty() ? "choose another name and run again" : "what was written is " + beside.string()});
  }
  if (error != 0) FailToWrite(shown_, "cannot move the finished file into place", error);
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  if (const int dir = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); dir >= 0) {
    fsync(dir);
    close(dir);
  }
}

void WriteTextFileAtomically(const std::filesystem::path& path, std::string_view text,
                             const std::filesystem::path& shown) {
  AtomicFile file(path, 0, {}, shown);
  file.Write(text);
  file.Commit();
}

}  // namespace stablelm
