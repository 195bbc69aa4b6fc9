// Writes manual pages in roff (man(7)), section 1, from the same table as --help.
#pragma once

#include <span>
#include <string>

#include "cli/app/command_table.h"

namespace stablelm {

// The page's name without ".1": "stablelm" for the program, "stablelm-bench-memory" for a command.
std::string ManPageName(const std::string& command);
std::string ProgramManPage(std::span<const CommandText> commands, const std::string& version);
// The first word of a command of two ("bench memory"); empty for other commands.
std::string GroupOf(const std::string& command);
// The page of the commands that begin with `name`, such as bench; empty when there are none.
std::string GroupManPage(const std::string& name, std::span<const CommandText> commands, const std::string& version);
std::string CommandManPage(const CommandText& command, const std::string& version);

}  // namespace stablelm
