#include "base/broken_link.h"

#include <string>

#include "base/error.h"

namespace stablelm {

namespace fs = std::filesystem;

void RefuseBrokenLink(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error) || fs::exists(path, error)) return;
  if (error == std::errc::too_many_symbolic_link_levels) {
    throw Error({.where = path.string(),
                 .what = "this is a link that leads back to itself",
                 .expected = "a file or folder",
                 .hint = "remove the link, and copy or download what it should name"});
  }
  throw Error({.where = path.string(),
               .what = "this is a link to " + Quoted(fs::read_symlink(path, error).string()) + ", which does not exist",
               .expected = "the file itself, or a link to it",
               .hint = "the folder was copied without what its links name, or its download is not finished: copy with "
                       "`cp -rL`, or download it again"});
}

}  // namespace stablelm
