// A word of a command that a user may copy into a shell.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// The text as it is where no POSIX shell takes a part of it for something else, in single quotes otherwise.
std::string ShellWord(std::string_view text);

}  // namespace stablelm
