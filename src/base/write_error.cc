#include "base/write_error.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/read_error.h"

namespace stablelm {

namespace fs = std::filesystem;

bool IsNotPermitted(int error) { return error == EROFS || error == EACCES || error == EPERM; }

void FailToWrite(const fs::path& path, const std::string& what, int error) {
  std::string hint = "try again, or choose another folder";
  if (IsNotPermitted(error)) hint = "choose a folder that you may write to";
  if (error == ENOSPC || error == EDQUOT) hint = "free some disk space or choose another folder";
  if (error == EMFILE || error == ENFILE) hint = HintToRead(error);
  if (error == EFBIG) hint = "files may not be that large here: see `ulimit -f` and the file system";
  if (error == ENOENT) {  // folders like /proc return it too
    std::error_code ignored;
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    hint = fs::is_directory(folder, ignored)
               ? "files cannot be created in that folder: choose another"
               : "the folder " + Quoted(folder.string()) + " does not exist: create it first";
  }
  throw Error({.where = path.string(), .what = what + ": " + std::strerror(error), .hint = hint});
}

}  // namespace stablelm
