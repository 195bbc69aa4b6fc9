// The program: finds the command, parses its options, runs it, and turns exceptions into messages and exit codes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

// `arguments` excludes the program's name. Returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
// Never throws.
int RunProgram(const std::vector<std::string>& arguments, const std::vector<std::unique_ptr<Command>>& commands);

}  // namespace stablelm
