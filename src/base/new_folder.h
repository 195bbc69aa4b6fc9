// A new folder that appears whole or not at all: its files are written into a temporary folder beside it, which is then
// renamed.
#pragma once

#include <filesystem>

#include "base/temporary_paths.h"

namespace stablelm {

// Use: create, write files (no folders) into path(), Commit. Without Commit the temporary folder is removed
// (base/temporary_paths.h). For one thread at a time. Throws an Error that names the target.
class NewFolder {
 public:
  // Refuses a target that is there already, unless it is an empty folder, and one whose parent is not there. "out/" is
  // "out".
  explicit NewFolder(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return folder_.path(); }  // until Commit
  const std::filesystem::path& target() const { return target_; }
  // Renames to the target, with the permissions of any new folder, and flushes the parent; the files are to be flushed
  // before. If something came into its place meanwhile: an Error, and the finished folder is TARGET.new, or
  // TARGET.new2, ...
  void Commit();

 private:
  std::filesystem::path target_;
  TemporaryPath folder_;
};

// Makes the parent folder of `target` when that alone is missing: data for data/chats. Where it cannot, nothing
// happens, and NewFolder names what is missing.
void MakeParentFolder(const std::filesystem::path& target);

}  // namespace stablelm
