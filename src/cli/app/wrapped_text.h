// Results that are read by people: tables and lines with a label.
#pragma once

#include <cstddef>
#include <string_view>

#include "cli/app/output.h"

namespace stablelm {

// Output::Text, but on a terminal lines that are wider than the window are wrapped by words, the cells of a table
// beside or below the first one. Files and pipes get the bytes unchanged. `text` is whole lines.
void PrintWrapped(Output& out, std::string_view text);

// Whether a line of `columns` fits beside the edge of a terminal on standard output; true for files and pipes.
bool FitsWindow(size_t columns);

}  // namespace stablelm
