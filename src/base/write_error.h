// The error of a file or folder that cannot be created, written or moved.
#pragma once

#include <filesystem>
#include <string>

namespace stablelm {

// Throws the Error "PATH: WHAT: reason", with what to do next. `error`: the errno.
[[noreturn]] void FailToWrite(const std::filesystem::path& path, const std::string& what, int error);

}  // namespace stablelm
