// Git LFS pointer files: what a clone without LFS leaves in place of a large file.
#pragma once

#include <filesystem>
#include <string_view>

namespace stablelm {

// Throws Error with the way out when `content` is a pointer file instead of the file itself.
void RefuseLfsPointer(const std::filesystem::path& path, std::string_view content);

}  // namespace stablelm
