// Names of files as people type them in a chat.
#pragma once

#include <string>
#include <vector>

namespace stablelm {

// Replaces "~" and "~/" at the beginning by the home folder, as a shell does.
std::string ExpandHome(const std::string& path);

// Paths that begin with `path`, sorted; a folder ends with "/". Hidden files only when the name begins with a dot.
std::vector<std::string> CompleteFile(const std::string& path);

}  // namespace stablelm
