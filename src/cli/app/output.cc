#include "cli/app/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/setting_flags.h"
#include "cli/app/visible_text.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

[[noreturn]] void WriteFailed(int error) {
  if (error == EPIPE) throw BrokenPipe();
  throw Error({.where = "standard output",
               .what = std::string("cannot write: ") + std::strerror(error),
               .hint = error == ENOSPC || error == EDQUOT ? "free some disk space" : "write to another file or disk"});
}

// For a terminal: control characters are shown, and lines are wrapped by words, `indent` columns from the edge. The
// first row has no indent; a hint, a line of its own, has its label there.
std::string ForTerminal(std::string_view text, size_t indent) {
  const std::string spaces(indent, ' ');
  const size_t width = TextWidth(WindowOf(STDERR_FILENO));
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = Visible(text.substr(begin, end - begin));
    for (const std::string& row : LayOutRows({{.text = line, .style = {}}}, width, begin == 0 ? spaces : "", spaces)) {
      out += (out.empty() ? "" : "\n") + row;
    }
    begin = end + 1;
  }
  return out.substr(std::min(out.size(), indent));
}

void PrintLine(const char* color, std::string_view label, std::string_view text) {
  std::string line;
  const bool colored = ColorOn(STDERR_FILENO);
  if (colored) line += color;
  line += label;
  if (colored) line += kEndOfStyle;
  line.append(" ");
  line.append(isatty(STDERR_FILENO) == 1 ? ForTerminal(text, label.size() + 1) : std::string(text)).append("\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

// NO_COLOR: no-color.org.
bool ColorOn(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && !(no_color && *no_color) && term && *term && std::strcmp(term, "dumb") != 0;
}

Output::Output(bool json, bool quiet) : json_(json), quiet_(quiet), terminal_(isatty(STDOUT_FILENO) == 1) {}

bool Output::color() const { return !json_ && ColorOn(STDOUT_FILENO); }

void Output::Text(std::string_view text) { terminal_ ? Styled(Visible(text)) : Styled(text); }

void Output::Styled(std::string_view bytes) {
  STABLELM_CHECK(!json_);
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) WriteFailed(errno);
}

void Output::Json(const JsonValue& object) {
  STABLELM_CHECK(json_ && object.IsObject());
  const std::string line = (terminal_ ? VisibleJson(object.Dump()) : object.Dump()) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) WriteFailed(errno);
  Flush();  // a reader may act on each line as it arrives
}

void Output::Line(std::string_view json) {
  const std::string line = std::string(json) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) WriteFailed(errno);
  Flush();
}

void Output::Flush() {
  if (std::fflush(stdout) != 0) WriteFailed(errno);
}

void Output::Note(std::string_view text) {
  if (!quiet_) PrintLine("\033[36m", "note:", text);
}

void Output::Answer(std::string_view text) { PrintLine("\033[36m", "note:", text); }

void Output::Warning(std::string_view text) { PrintLine("\033[35m", "warning:", text); }

void PrintError(std::string_view text) { PrintLine("\033[1;31m", "error:", WithFlags(text)); }

}  // namespace stablelm
