// The line that a progress bar draws on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stablelm {

// "LABEL ━━━───  TEXT", in fewer columns than the terminal has: a full line would wrap, and the next one could not
// replace it. The bar takes what label and text (both ASCII) leave, at most 24 columns; with fewer than 4 there is
// none, and what is still too long is cut.
std::string ProgressLine(std::string_view label, double share, std::string_view text, size_t columns);

}  // namespace stablelm
