// The errors of reading files: the same next steps everywhere.
#pragma once

#include <string>

namespace stablelm {

// Throws the Error "WHERE: WHAT: reason", with what to do next. `error`: the errno.
[[noreturn]] void FailToRead(const std::string& where, const std::string& what, int error);

}  // namespace stablelm
