#include "base/progress_line.h"

#include <algorithm>

namespace stablelm {

std::string ProgressLine(std::string_view label, double share, std::string_view text, size_t columns) {
  constexpr size_t kMost = 24, kLeast = 4;
  const size_t room = columns > 0 ? columns - 1 : 0;
  const size_t words = label.size() + 1 + text.size();
  const size_t bar = words + 1 < room ? std::min(kMost, room - words - 1) : 0;
  std::string line = std::string(label) + " ";
  if (bar < kLeast) return line.append(text).substr(0, room);
  const auto full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(bar));
  for (size_t i = 0; i < bar; ++i) line += i < full ? "━" : "─";
  return line.append(" ").append(text);
}

}  // namespace stablelm
