// The program stablelm. Everything it does is in cli/commands.h.
#include <signal.h>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a closed pipe comes back as an error of the write (cli/output.h)
  stablelm::InstallInterruptHandler();
  return stablelm::RunProgram({argv + (argc > 0 ? 1 : 0), argv + argc}, stablelm::AllCommands());
}
