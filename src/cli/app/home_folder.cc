#include "cli/app/home_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace stablelm {

std::string ExpandHome(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  const char* home = std::getenv("HOME");
  if (!home || !*home) {
    const passwd* user = getpwuid(getuid());
    home = user ? user->pw_dir : nullptr;
  }
  return home ? home + path.substr(1) : path;
}

}  // namespace stablelm
