// The program stablelm. cli/app/commands.h lists its commands.
#include <signal.h>

#include "cli/app/commands.h"
#include "cli/app/interrupt.h"
#include "cli/app/program.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // writes to a closed pipe then fail with EPIPE (cli/app/output.h)
  stablelm::InstallSignalHandlers();
  return stablelm::RunProgram({argv + (argc > 0 ? 1 : 0), argv + argc}, stablelm::AllCommands());
}
