#include "dataset/rows/placeholder.h"

#include <algorithm>
#include <string>

#include "base/ascii.h"
#include "dataset/rows/trimmed.h"

namespace stablelm {
bool IsPlaceholder(std::string_view input) {
  constexpr size_t kLongest = 40;
  input = Trimmed(input);
  if (input.empty() || input.size() > kLongest) return false;
  constexpr std::string_view kOpen = "<[(\"'`", kClose = ">])\"'`";
  for (bool changed = true; changed && !input.empty();) {
    changed = false;
    if (input.back() == '.') {
      input.remove_suffix(1);
      changed = true;
    } else if (const size_t kind = kOpen.find(input.front());
               kind != std::string_view::npos && input.size() > 1 && input.back() == kClose[kind]) {
      input = Trimmed(input.substr(1, input.size() - 2));
      changed = true;
    }
  }
  std::string words;
  for (const char c : input) {
    const char lower = c == '_' || c == '-' ? ' ' : LowerAscii(c);
    if (lower != ' ' || (!words.empty() && words.back() != ' ')) words += lower;
  }
  constexpr std::string_view kWhole[] = {"noinput", "no input", "none", "n/a", "not applicable", "not available"};
  if (std::find(std::begin(kWhole), std::end(kWhole), words) != std::end(kWhole)) return true;
  constexpr std::string_view kAfter[] = {"needed",    "required",  "provided", "given",
                                         "necessary", "available", "specified"};
  for (const std::string_view start : {std::string_view("noinput "), std::string_view("no input ")}) {
    if (!words.starts_with(start)) continue;
    const std::string_view rest = std::string_view(words).substr(start.size());
    return std::find(std::begin(kAfter), std::end(kAfter), rest) != std::end(kAfter);
  }
  return false;
}

}  // namespace stablelm
