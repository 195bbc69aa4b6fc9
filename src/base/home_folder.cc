#include "base/home_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace stablelm {

namespace {

// The home folder of the user `name`, or of the one who runs this if it is empty; empty if the system knows none.
std::string HomeOfUser(const std::string& name) {
  struct passwd entry {};
  struct passwd* found = nullptr;
  std::vector<char> room(16384);
  const int failed = name.empty() ? getpwuid_r(getuid(), &entry, room.data(), room.size(), &found)
                                  : getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  return failed || !found || !found->pw_dir ? "" : found->pw_dir;
}

}  // namespace

std::string HomeFolder() {
  if (const char* home = std::getenv("HOME"); home && *home) return home;
  return HomeOfUser("");
}

std::string ExpandHome(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const size_t end = std::min(path.find('/'), path.size());
  const std::string home = end == 1 ? HomeFolder() : HomeOfUser(path.substr(1, end - 1));
  return home.empty() ? path : home + path.substr(end);
}

}  // namespace stablelm
