// The error of a file or folder that cannot be created, written or moved.
#pragma once

#include <filesystem>
#include <string>

namespace stablelm {

// Whether the errno says that one may not write there.
bool IsNotPermitted(int error);

// Throws the Error "PATH: WHAT: reason", with what to do next. `error`: the errno.
[[noreturn]] void FailToWrite(const std::filesystem::path& path, const std::string& what, int error);

}  // namespace stablelm
