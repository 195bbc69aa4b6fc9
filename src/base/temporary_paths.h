// Unfinished files and folders: how they are named, and how they go away when the work on them does not end well.
//
// A temporary path lies beside what it will become and is locked (flock) while its process lives. It is removed by its
// owner's destructor, by RemoveTemporaryPaths when a signal ends the program, and, after kill -9 or a power failure, by
// the next run that writes the same path.
#pragma once

#include <filesystem>
#include <string>

namespace stablelm {

// One temporary file or folder (without folders in it). Movable, not copyable; for one thread at a time. The destructor
// removes it, unless Keep was called.
class TemporaryPath {
 public:
  enum class Kind { kFile, kFolder };

  TemporaryPath() = default;
  // Removes what killed runs left of this target, then creates TARGET.stablelm.tmp.XXXXXX, readable by its owner only.
  // Throws Error.
  // `shown`: the path to name in errors, if the target is itself in a temporary folder.
  TemporaryPath(const std::filesystem::path& target, Kind kind, const std::filesystem::path& shown = {});
  TemporaryPath(TemporaryPath&& other) noexcept;
  TemporaryPath& operator=(TemporaryPath&& other) noexcept;
  ~TemporaryPath();

  const std::filesystem::path& path() const { return path_; }
  int fd() const { return fd_; }  // of the file, open for reading and writing, or of the folder; -1: none
  // Gives it the permissions of new files and folders: until then it is its owner's alone.
  void SetUsualPermissions() const;
  // Moves it to `target`, whose files must be complete, and closes it. An existing file, or empty folder, of that name
  // is replaced if `replace`; otherwise the call fails with EEXIST. Returns 0 or the errno of the failure.
  int MoveTo(const std::filesystem::path& target, bool replace);
  // Moves it to the first free of TARGET.new, TARGET.new2, ... and returns that name; empty if it cannot be moved.
  std::filesystem::path MoveBeside(const std::filesystem::path& target);

 private:
  struct Listed;
  friend void RemoveTemporaryPaths();
  void Close();

  std::filesystem::path path_;
  int fd_ = -1;
  bool folder_ = false;
  const Listed* listed_ = nullptr;
};

// Removes a folder with its files: whatever interrupts it, the folder is there whole or not at all. Ignores failures.
void RemoveWholeFolder(const std::filesystem::path& folder);

// Removes all temporary paths that killed runs left in `folder`, whatever their targets. Ignores failures.
void RemoveLeftovers(const std::filesystem::path& folder);

// Removes the temporary paths of this target whose processes are gone, as creating one does.
void RemoveWhatKilledRunsLeft(const std::filesystem::path& target);

// Removes all temporary paths of this process. Async-signal-safe: for the handlers of signals that end the program.
void RemoveTemporaryPaths();

}  // namespace stablelm
