// The pages of --help, from the table of commands, wrapped to a width.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cli/app/command_table.h"

namespace stablelm {

// Columns for a page on standard output: the window's, at most 100; 80 when it is not a terminal.
size_t HelpWidth();

// The commands by task, and where to begin.
std::string ProgramHelp(std::span<const CommandText> commands, size_t width);
// The commands of a group ("bench"); empty when there is no such group.
std::string GroupHelp(const std::string& name, std::span<const CommandText> commands, size_t width);
// Usage, examples, everyday options and the names of the others; with `all` every option, by group, and every name.
std::string CommandHelp(const CommandText& command, bool all, size_t width);
// "stablelm generate -m MODEL [PROMPT] [OPTIONS]"
std::string UsageOf(const CommandText& command);

struct CommandGroup {
  std::string title;
  std::vector<const CommandText*> commands;
};
// All commands, in the order of --help; also for the manual page.
std::vector<CommandGroup> CommandsByTask(std::span<const CommandText> commands);

// A command of a shell, indented or not, as lines of at most `width` columns. A long one goes on in the next line,
// behind a backslash, so that a copy of it still runs. An option keeps its value beside it where it can.
std::string WrappedCommand(std::string line, size_t width);

// Breaks a paragraph into lines of at most `width` columns, each after the first begun with `indent` spaces. ASCII.
std::string Wrapped(std::string_view paragraph, size_t width, size_t indent);

}  // namespace stablelm
