// Notes of a chat beside the replies.
#pragma once

#include <string>
#include <string_view>

#include "cli/terminal/text_rows.h"

namespace stablelm {

// Columns for text. Leaves one free: after writing the last column a terminal's cursor is between two rows.
size_t TextWidth(const Window& window);

// A message for standard error, wrapped by words beside `label` ("note:") when that is a terminal, else unchanged.
std::string BesideLabel(const std::string& text, std::string_view label);

// Waits a moment until the reader of stdout, such as tee, has taken what was written, so that what the terminal shows
// next comes after it.
void AwaitReader();

}  // namespace stablelm
