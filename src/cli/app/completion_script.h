// Scripts that make a shell complete the program's commands, options and values. They are complete in themselves: the
// shell never runs the program while a person types.
#pragma once

#include <span>
#include <string>

#include "cli/app/command_table.h"

namespace stablelm {

std::string BashCompletion(std::span<const CommandText> commands);  // bash 4 and later; bash-completion is not needed
std::string ZshCompletion(std::span<const CommandText> commands);
std::string FishCompletion(std::span<const CommandText> commands);

}  // namespace stablelm
