// White space at the ends of a text.
#pragma once

#include <string_view>

namespace stablelm {

// Without White_Space of Unicode, zero-width spaces (U+200B) and byte order marks (U+FEFF) at both ends. Pure.
std::string_view Trimmed(std::string_view text);

}  // namespace stablelm
