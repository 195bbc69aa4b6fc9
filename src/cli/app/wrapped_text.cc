#include "cli/app/wrapped_text.h"

#include <unistd.h>

#include "cli/app/visible_text.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {

void PrintWrapped(Output& out, std::string_view text) {
  if (isatty(STDOUT_FILENO) != 1) return out.Text(text);
  out.Styled(WrappedLines(Visible(text), WindowOf(STDOUT_FILENO).columns));
}

bool FitsWindow(size_t columns) { return isatty(STDOUT_FILENO) != 1 || columns <= TextWidth(WindowOf(STDOUT_FILENO)); }

}  // namespace stablelm
