// Makes untrusted text (from models, files, other users) safe to print on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// Keeps line ends and tabs. Other control characters become escapes such as "\\x1B", invalid UTF-8 becomes U+FFFD.
std::string Visible(std::string_view bytes);

// The same for JSON, where DEL and C1 characters may stand in strings: they become "\\u007F" to "\\u009F".
std::string VisibleJson(std::string_view json);

}  // namespace stablelm
