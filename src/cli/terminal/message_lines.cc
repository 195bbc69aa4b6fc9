#include "cli/terminal/message_lines.h"

#include <string_view>
#include <utility>

namespace stablelm {

bool MessageLines::Add(const std::string& line) {
  constexpr std::string_view kQuotes = "\"\"\"";
  if (quoted_) {
    const size_t end = line.find(kQuotes);
    text_ += line.substr(0, end);
    if (end != std::string::npos) {
      if (end == 0 && text_.ends_with('\n')) text_.pop_back();
      quoted_ = false;
      return true;
    }
    text_ += '\n';
    return false;
  }
  if (text_.empty() && line.starts_with(kQuotes)) {
    const std::string rest = line.substr(kQuotes.size());
    if (const size_t end = rest.find(kQuotes); end != std::string::npos) {  // opened and closed on one line
      text_ = rest.substr(0, end);
      return true;
    }
    quoted_ = true;
    text_ = rest.empty() ? "" : rest + "\n";
    return false;
  }
  if (line.ends_with('\\')) {
    text_ += line.substr(0, line.size() - 1) + "\n";
    return false;
  }
  text_ += line;
  return true;
}

std::string MessageLines::Take() {
  quoted_ = false;
  return std::exchange(text_, {});
}

}  // namespace stablelm
