// "1 token", "2 tokens": numbers of things in messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stablelm {

// `several`: the plural, where it is not `one` with an s.
template <typename Integer>
std::string Counted(Integer n, std::string_view one, std::string_view several = {}) {
  std::string text = std::to_string(n) + " ";
  if (n == Integer{1}) return text.append(one);
  return several.empty() ? text.append(one).append("s") : text.append(several);
}

}  // namespace stablelm
