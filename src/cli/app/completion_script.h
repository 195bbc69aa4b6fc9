// Shell completion scripts for the program's commands, options and values. They are self-contained: the shell does not
// run the program to complete a line.
#pragma once

#include <span>
#include <string>

#include "cli/app/command_table.h"

namespace stablelm {

std::string BashCompletion(std::span<const CommandText> commands);  // bash 4 or later; does not need bash-completion
std::string ZshCompletion(std::span<const CommandText> commands);
std::string FishCompletion(std::span<const CommandText> commands);

}  // namespace stablelm
