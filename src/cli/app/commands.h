// Every command of the program, in the order in which --help lists them: the list is in src/cli/CMakeLists.txt, which
// makes the body of AllCommands from it. (Objects that register themselves would be left out of a static library.)
#pragma once

#include <memory>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

std::vector<std::unique_ptr<Command>> AllCommands();

}  // namespace stablelm
