// Character references of HTML, as Markdown has them.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// The text of "&amp;", "&#38;" or "&#x26;"; `entity` itself when its name is not known or it names no character that a
// terminal can show.
std::string TextOfEntity(std::string_view entity);

}  // namespace stablelm
