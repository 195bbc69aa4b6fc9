// Text of strangers (models, files, other users) for a terminal, so that none of it can act on the terminal.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// Line ends and tabs stay; other control characters become "\\x1B", bytes that are not UTF-8 U+FFFD.
std::string Visible(std::string_view bytes);

}  // namespace stablelm
