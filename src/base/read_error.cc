#include "base/read_error.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace stablelm {

void FailToRead(const std::string& where, const std::string& what, int error) {
  throw Error(
      {.where = where, .what = what + ": " + std::strerror(error), .hint = error == ENOENT ? "check the path" : ""});
}

}  // namespace stablelm
