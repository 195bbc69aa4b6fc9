// The program stablelm. cli/app/commands.h lists its commands.
#include <locale.h>
#include <signal.h>

#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/program.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);        // writes to a closed pipe then fail with EPIPE (cli/app/output.h)
  setlocale(LC_CTYPE, "C.UTF-8");  // for the columns of text (cli/terminal/text_rows.h)
  stablelm::InstallSignalHandlers();
  return stablelm::RunProgram({argv + (argc > 0 ? 1 : 0), argv + argc}, stablelm::AllCommands());
}
