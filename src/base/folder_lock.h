// Marks a folder as in use by a process (flock), for as long as the process lives.
#pragma once

#include <filesystem>
#include <optional>
#include <utility>

namespace stablelm {

// Movable, not copyable. The destructor gives the folder free.
class FolderLock {
 public:
  // Empty: another process holds it. File systems without locks mark nothing, and every call succeeds. Throws Error
  // when there is no such folder or it cannot be opened.
  static std::optional<FolderLock> Take(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace stablelm
