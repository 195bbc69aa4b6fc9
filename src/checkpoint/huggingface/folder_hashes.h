// SHA256SUMS: the hashes of all files of a folder, as `sha256sum` writes and checks them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace stablelm {

inline constexpr const char* kHashFile = "SHA256SUMS";

// The file's text: "HASH  NAME", a line for each regular file of the folder but SHA256SUMS itself, by name. Depends on
// the names and bytes of the files alone. Throws Error.
std::string HashFolder(const std::filesystem::path& folder);

// Checks all files that SHA256SUMS names, and that it names no path outside the folder. Calls `on_bytes` (optional)
// with the size of each chunk that was read. Returns the SHA-256 of SHA256SUMS: one hash for all files. Throws Error,
// naming the file that is missing or damaged.
std::string CheckFolderHashes(const std::filesystem::path& folder, const std::function<void(size_t)>& on_bytes = {});

// The same hash, without reading the other files. Throws Error when there is no SHA256SUMS.
std::string HashOfHashes(const std::filesystem::path& folder);

}  // namespace stablelm
