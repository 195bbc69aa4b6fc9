// SHA-256 of bytes and files (OpenSSL).
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

std::string Sha256Hex(std::string_view bytes);  // 64 lower-case hexadecimal digits
// Reads the file in chunks; calls `on_bytes` (optional) with the size of each chunk.
std::string Sha256HexOfFile(const std::filesystem::path& path, const std::function<void(size_t)>& on_bytes = {});

}  // namespace stablelm
