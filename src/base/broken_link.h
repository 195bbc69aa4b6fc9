// Detects symbolic links without a target, which a copy of the hub's cache without its blobs has in place of all files.
#pragma once

#include <filesystem>

namespace stablelm {

// Throws an Error that names the missing target if `path` is such a link.
void RefuseBrokenLink(const std::filesystem::path& path);

}  // namespace stablelm
