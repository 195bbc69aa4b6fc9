#include "cli/chat/chat_paths.h"

#include <algorithm>
#include <filesystem>

#include "base/home_folder.h"

namespace stablelm {

std::vector<std::string> CompleteFile(const std::string& path) {
  if (path == "~") return {"~/"};
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string begin = path.substr(folder.size());
  std::vector<std::string> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder.empty() ? "." : ExpandHome(folder), failed), end;
       !failed && it != end; it.increment(failed)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(begin) || (name.starts_with('.') && !begin.starts_with('.'))) continue;
    std::error_code unknown;
    found.push_back(folder + name + (it->is_directory(unknown) ? "/" : ""));
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace stablelm
