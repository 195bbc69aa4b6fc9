// The program stablelm. Everything it does is in cli/app/commands.h.
#include <signal.h>

#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/program.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a closed pipe comes back as an error of the write (cli/app/output.h)
  stablelm::InstallInterruptHandler();
  return stablelm::RunProgram({argv + (argc > 0 ? 1 : 0), argv + argc}, stablelm::AllCommands());
}
