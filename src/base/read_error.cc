#include "base/read_error.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace stablelm {

std::string HintToRead(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EISDIR:
      return "check the path";
    case EACCES:
    case EPERM:
      return "check the permissions of the file and of its folders: see `ls -l`";
    case EMFILE:
    case ENFILE:
      return "too many files are open: raise the limit, see `ulimit -n`";
    case ENOMEM:
      return "free some memory and try again";
    default:
      return "try again, or with a copy on another disk";
  }
}

void FailToRead(const std::string& where, const std::string& what, int error) {
  throw Error({.where = where, .what = what + ": " + std::strerror(error), .hint = HintToRead(error)});
}

}  // namespace stablelm
