// Names of files as people type them in a chat.
#pragma once

#include <string>
#include <vector>

namespace stablelm {

// Paths that begin with `path`, sorted; a folder ends with "/". Hidden files only when the name begins with a dot.
std::vector<std::string> CompleteFile(const std::string& path);

}  // namespace stablelm
