#include "base/new_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

fs::path ParentOf(const fs::path& target) { return target.has_parent_path() ? target.parent_path() : fs::path("."); }

// "folder/" has an empty file name: the temporary folder needs a real one.
fs::path WithName(const fs::path& target) { return target.has_filename() ? target : target.parent_path(); }

const fs::path& Checked(const fs::path& target) {
  std::error_code error;
  const bool is_folder = fs::is_directory(target, error);
  if (fs::exists(fs::symlink_status(target, error)) && !(is_folder && fs::is_empty(target, error))) {
    throw Error({.where = target.string(),
                 .what = is_folder ? "the folder is not empty" : "there is a file of this name",
                 .hint = "choose a new folder, or remove this one first"});
  }
  if (const fs::path parent = ParentOf(target); !fs::is_directory(parent, error)) {
    throw Error(
        {.where = target.string(), .what = "its parent folder does not exist", .hint = "create " + parent.string()});
  }
  return target;
}

}  // namespace

void MakeParentFolder(const fs::path& target) {
  std::error_code error;
  fs::create_directory(ParentOf(WithName(target)), error);
}

NewFolder::NewFolder(const fs::path& target)
    : target_(WithName(target)), folder_(Checked(target_), TemporaryPath::Kind::kFolder) {
  folder_.SetUsualPermissions();  // a temporary folder is private
}

void NewFolder::Commit() {
  // Renaming over an empty folder is atomic; over anything else it fails.
  if (const int error = folder_.MoveTo(target_, true); error != 0) {
    const fs::path beside = folder_.MoveBeside(target_);
    throw Error(
        {.where = target_.string(),
         .what = std::string("cannot move the finished folder into place: ") + std::strerror(error),
         .hint = beside.empty() ? "choose another name and run again" : "what was written is " + beside.string()});
  }
  if (const int folder = open(ParentOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); folder >= 0) {
    fsync(folder);
    close(folder);
  }
}

}  // namespace stablelm
