// All commands of the program, in the order of --help. src/cli/CMakeLists.txt holds the list and generates the body of
// AllCommands. (The linker would drop self-registering objects of a static library.)
#pragma once

#include <memory>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

std::vector<std::unique_ptr<Command>> AllCommands();

}  // namespace stablelm
