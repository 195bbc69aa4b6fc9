// Detects Git LFS pointer files, which a clone without LFS has in place of large files.
#pragma once

#include <filesystem>
#include <string_view>

namespace stablelm {

// Throws an Error with a hint how to fetch the file if `content` is a pointer file.
void RefuseLfsPointer(const std::filesystem::path& path, std::string_view content);

}  // namespace stablelm
