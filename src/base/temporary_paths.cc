#include "base/temporary_paths.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/signal_list.h"
#include "base/write_error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMiddle = ".stablelm.tmp.";
constexpr size_t kRandom = 6;

// The beginning of the names of a target's temporary paths. Names of files have at most 255 bytes: long ones lose their
// end.
std::string TemporaryName(const fs::path& target) {
  constexpr size_t kMaxStem = 255 - kMiddle.size() - kRandom;
  std::string stem = target.filename().string();
  if (stem.size() > kMaxStem) stem.resize(kMaxStem);
  const fs::path folder = target.parent_path();
  return ((folder.empty() ? fs::path(".") : folder) / stem).string().append(kMiddle);
}

std::string RandomLetters() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string letters;
  for (uint64_t bits = RandomSeed(); letters.size() < kRandom; bits /= kLetters.size()) {
    letters += kLetters[bits % kLetters.size()];
  }
  return letters;
}

// Removes the path if its lock can be taken, which means that no process owns it any more, and while it is held: an
// owner that has just made the path waits for the lock and sees that it is gone. File systems without locks: nothing is
// removed.
void RemoveUnowned(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  std::error_code ignored;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) fs::remove_all(path, ignored);
  close(fd);
}

// Of temporary paths in `folder` whose names, but for their last letters, `matches`.
void RemoveMatching(const fs::path& folder, const std::function<bool(std::string_view)>& matches) {
  std::vector<fs::path> left;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > kRandom && matches(std::string_view(name).substr(0, name.size() - kRandom))) {
      left.push_back(entry.path());
    }
  }
  for (const fs::path& path : left) RemoveUnowned(path);
}

// The folder's files, then the folder, by system calls alone: malloc may be what a signal interrupted.
void RemoveFolder(const char* path) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  alignas(8) char entries[4096];
  for (;;) {
    const long bytes = syscall(SYS_getdents64, fd, entries, sizeof entries);
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      uint16_t length = 0;  // struct linux_dirent64: inode, offset (8 bytes each), length (2), type (1), name
      std::memcpy(&length, entries + at + 16, sizeof length);
      unlinkat(fd, entries + at + 19, 0);
      at += length;
    }
  }
  close(fd);
  rmdir(path);
}

}  // namespace

void RemoveWhatKilledRunsLeft(const fs::path& target) {
  const std::string prefix = fs::path(TemporaryName(target)).filename().string();
  RemoveMatching(target.has_parent_path() ? target.parent_path() : fs::path("."),
                 [&](std::string_view name) { return name == prefix; });
}

// A path to remove, for signal handlers.
struct TemporaryPath::Listed {
  bool folder = false;
  char path[4096] = {};

  static SignalList<Listed> all;
};
constinit SignalList<TemporaryPath::Listed> TemporaryPath::Listed::all;

TemporaryPath::TemporaryPath(const fs::path& target, Kind kind, const fs::path& shown)
    : folder_(kind == Kind::kFolder) {
  RemoveWhatKilledRunsLeft(target);
  for (;;) {
    path_ = TemporaryName(target) + RandomLetters();
    // Listed before it is there: a signal at any moment finds it.
    if (const std::string whole = fs::absolute(path_).string(); whole.size() < sizeof Listed::path) {
      listed_ = Listed::all.Add([&](Listed& listed) {
        listed.folder = folder_;
        std::memcpy(listed.path, whole.c_str(), whole.size() + 1);
      });
    }
    bool made = false;
    if (folder_) {
      made = mkdir(path_.c_str(), S_IRWXU) == 0;
      if (made) fd_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else {
      fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
      made = fd_ >= 0;
    }
    const int error = errno;
    if (made) {
      if (fd_ < 0) return;  // a folder that cannot be read: stays without a lock
      while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
      }
      // Another run may have taken it for one that was left, in the moment before the lock, and removed it.
      if (access(path_.c_str(), F_OK) == 0) return;
    }
    Close();
    if (!made && error != EEXIST) FailToWrite(shown.empty() ? target : shown, "cannot create", error);
  }
}

TemporaryPath::TemporaryPath(TemporaryPath&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::exchange(other.fd_, -1)),
      folder_(other.folder_),
      listed_(std::exchange(other.listed_, nullptr)) {}

TemporaryPath& TemporaryPath::operator=(TemporaryPath&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(folder_, other.folder_);
  std::swap(listed_, other.listed_);
  return *this;
}

TemporaryPath::~TemporaryPath() {
  if (!path_.empty()) {
    // Removing a folder opens it, and its lock may have the last descriptor that the process may open.
    if (folder_ && fd_ >= 0) close(std::exchange(fd_, -1));
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Close();
}

void TemporaryPath::Close() {
  if (listed_) Listed::all.Remove(listed_);
  listed_ = nullptr;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  path_.clear();
}

void TemporaryPath::SetUsualPermissions() const {
  const mode_t mask = umask(0);
  umask(mask);
  if (fd_ >= 0) fchmod(fd_, (folder_ ? 0777 : 0666) & ~mask);
}

int TemporaryPath::MoveTo(const fs::path& target, bool replace) {
  const auto result = [](int code) { return code == 0 ? 0 : errno; };
  int error = 0;
  if (replace) {
    error = result(rename(path_.c_str(), target.c_str()));
  } else {
    error = result(renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE));
    // File systems that do not know the flag. A hard link never replaces; without links, look before.
    if (error == EINVAL || error == ENOSYS) {
      error = folder_ ? EPERM : result(link(path_.c_str(), target.c_str()));
      if (error == 0) unlink(path_.c_str());
    }
    if (error == EPERM || error == EOPNOTSUPP || error == EMLINK) {
      error = access(target.c_str(), F_OK) == 0 ? EEXIST : result(rename(path_.c_str(), target.c_str()));
    }
  }
  if (error == 0) Close();
  return error;
}

fs::path TemporaryPath::MoveBeside(const fs::path& target) {
  for (int i = 1; i < 1000; ++i) {
    const fs::path beside = target.string() + ".new" + (i == 1 ? "" : std::to_string(i));
    const int error = MoveTo(beside, false);
    if (error == 0) return beside;
    if (error != EEXIST) break;
  }
  return {};
}

void RemoveWholeFolder(const fs::path& folder) {
  std::error_code ignored;
  const fs::path hidden = TemporaryName(folder) + RandomLetters();
  fs::rename(folder, hidden, ignored);
  if (!ignored) fs::remove_all(hidden, ignored);
}

void RemoveLeftovers(const fs::path& folder) {
  RemoveMatching(folder, [](std::string_view name) { return name.ends_with(kMiddle); });
}

void RemoveTemporaryPaths() {
  TemporaryPath::Listed::all.ForEach([](const TemporaryPath::Listed& listed) {
    if (listed.folder) {
      RemoveFolder(listed.path);
    } else {
      unlink(listed.path);
    }
  });
}

}  // namespace stablelm
