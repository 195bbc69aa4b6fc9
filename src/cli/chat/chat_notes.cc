#include "cli/chat/chat_notes.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "cli/app/visible_text.h"

namespace stablelm {

size_t TextWidth(const Window& window) { return std::max<size_t>(window.columns, 9) - 1; }

std::string BesideLabel(const std::string& text, std::string_view label) {
  if (isatty(STDERR_FILENO) != 1) return text;
  const std::string indent(label.size() + 1, ' ');
  std::vector<std::string> rows;
  for (size_t begin = 0; begin < text.size();) {  // a hint is a line of its own, with a label of its own
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::vector<std::string> more =
        LayOutRows({{.text = Visible(text.substr(begin, end - begin)), .style = {}}},
                   TextWidth(WindowOf(STDERR_FILENO)), begin == 0 ? indent : "", indent);
    rows.insert(rows.end(), more.begin(), more.end());
    begin = end + 1;
  }
  std::string all;
  for (const std::string& row : rows) all += (all.empty() ? "" : "\n") + row;
  return all.substr(std::min(all.size(), indent.size()));
}

void AwaitReader() {
  constexpr int kSteps = 40, kStepMs = 5, kWriteMs = 20;
  for (int i = 0; i < kSteps; ++i) {
    int unread = 0;
    if (ioctl(STDOUT_FILENO, FIONREAD, &unread) != 0) return;
    if (unread == 0) {
      poll(nullptr, 0, kWriteMs);  // it has read, but may not have written
      return;
    }
    poll(nullptr, 0, kStepMs);
  }
}

}  // namespace stablelm
