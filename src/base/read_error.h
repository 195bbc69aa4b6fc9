// Errors about files that are read: the same next steps everywhere.
#pragma once

#include <string>

namespace stablelm {

// What to do about a file whose content is wrong, where nothing better is known.
inline constexpr const char* kDamagedFileHint =
    "the file is damaged or was written wrongly: download or copy it again, or make it again from the original";

// What to do about a file that cannot be opened or read for this reason. `error`: the errno.
std::string HintToRead(int error);

// Throws the Error "WHERE: WHAT: reason", with what to do next.
[[noreturn]] void FailToRead(const std::string& where, const std::string& what, int error);

}  // namespace stablelm
