// Inputs of instructions that say that there is none.
#pragma once

#include <string_view>

namespace stablelm {

// Whether an input says that there is none. Compared without white space at the ends, brackets <>, [], (), quotes and a
// final full stop around it, in lower case, with "_", "-" and runs of spaces as one space: "noinput", "no input" (also
// with "needed", "required", "provided", "given", "necessary", "available" or "specified" after it), "none", "n/a",
// "not applicable", "not available".
bool IsPlaceholder(std::string_view input);

}  // namespace stablelm
