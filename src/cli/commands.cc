#include "cli/commands.h"

namespace stablelm {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  return commands;
}

}  // namespace stablelm
