#include "cli/app/program.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/system.h"
#include "cli/app/command_table.h"
#include "cli/app/interrupt.h"
#include "cli/app/output.h"
#include "cli/app/version.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

// The commands whose names begin with `prefix`, one per line.
std::string ListOf(const Commands& commands, const std::string& prefix) {
  std::string out;
  size_t width = 0;
  for (const auto& command : commands) width = std::max(width, command->Name().size());
  for (const auto& command : commands) {
    const std::string name = command->Name();
    if (name.starts_with(prefix)) {
      out += "  " + name + std::string(width - name.size() + 2, ' ') + command->Summary() + "\n";
    }
  }
  return out;
}

std::string ProgramHelp(const Commands& commands) {
  std::string out =
      "stablelm: StableLM-Tuned-Alpha and its GPT-NeoX relatives as one native program\n\n"
      "Usage: stablelm COMMAND [OPTIONS]\n       stablelm COMMAND --help\n       stablelm --version "
      "[--json]\n\nCommands:\n";
  out += ListOf(commands, "");
  out +=
      "\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n"
      "The environment variable STABLELM_SIMD forces an instruction set (stablelm --version lists those built).\n";
  return out;
}

std::string CommandHelp(const Command& command, const CLI::App& app) {
  std::string page = app.help("stablelm " + command.Name());
  if (const size_t gap = page.find("  [OPTIONS]"); gap != std::string::npos) page.erase(gap, 1);
  while (page.ends_with("\n\n")) page.pop_back();
  return page + "\nExamples:\n" + command.Examples() + "\n";
}

// The command that the first one or two words name, and the number of words used; null when there is none.
Command* FindCommand(const std::vector<std::string>& arguments, const Commands& commands, size_t& words) {
  for (words = std::min<size_t>(2, arguments.size()); words > 0; --words) {
    const std::string name = words == 2 ? arguments[0] + " " + arguments[1] : arguments[0];
    for (const auto& command : commands) {
      if (command->Name() == name) return command.get();
    }
  }
  return nullptr;
}

// Help for the command group `name` ("bench"); empty when there is no such group.
std::string GroupHelp(const std::string& name, const Commands& commands) {
  const std::string list = ListOf(commands, name + " ");
  return list.empty() ? "" : "Usage: stablelm " + name + " COMMAND [OPTIONS]\n\nCommands:\n" + list;
}

[[noreturn]] void ThrowUnknownCommand(const std::vector<std::string>& arguments, const Commands& commands) {
  const std::string& first = arguments[0];
  std::vector<std::string> names;
  std::string typed = first;
  if (!GroupHelp(first, commands).empty()) {
    if (arguments.size() > 1) typed += " " + arguments[1];
    for (const auto& command : commands) {
      if (command->Name().starts_with(first + " ")) names.push_back(command->Name());
    }
  } else {
    for (const auto& command : commands) {
      names.push_back(command->Name().substr(0, command->Name().find(' ')));
    }
    for (const char* flag : {"--help", "--version"}) names.emplace_back(flag);
  }
  throw UsageError(
      {.what = first.starts_with("-") ? "unknown flag " + Quoted(typed) : "unknown command " + Quoted(typed),
       .hint = DidYouMean(typed, names, "stablelm --help lists the commands")});
}

[[noreturn]] void ThrowUnexpected(const std::string& word, const Command& command, const CLI::App& app) {
  const std::string see = "stablelm " + command.Name() + " --help shows the options";
  if (!word.starts_with("-") || word.size() < 2) {
    throw UsageError({.where = command.Name(),
                      .what = "unexpected argument " + Quoted(word),
                      .hint = "put text with spaces in quotes; " + see});
  }
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
  }
  const std::string typed = word.substr(0, word.find('='));
  throw UsageError({.where = command.Name(),
                    .what = "unknown flag " + Quoted(typed),
                    .hint = DidYouMean(typed, flags, see + "; text that starts with a dash goes after --")});
}

int RunCommand(Command& command, std::vector<std::string> arguments) {
  CLI::App app;
  BuildApp(command, app);
  app.get_formatter()->column_width(34);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 pops arguments from the back
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    Output out(false, false);
    out.Text(CommandHelp(command, app));
    out.Flush();
    return kExitOk;
  } catch (const CLI::ParseError& e) {
    throw UsageError({.where = command.Name(),
                      .what = e.what(),
                      .hint = "stablelm " + command.Name() + " --help shows the options"});
  }
  for (const std::string& word : app.remaining()) {
    if (word != "--") ThrowUnexpected(word, command, app);
  }
  Output out(command.common.json, command.common.quiet);
  const int code = command.Run(out);
  out.Flush();
  return code;
}

int Dispatch(const std::vector<std::string>& arguments, const Commands& commands) {
  if (arguments.empty()) {
    std::fputs(ProgramHelp(commands).c_str(), stderr);
    return kExitUsage;
  }
  const std::string& first = arguments[0];
  const auto print = [](const std::string& text) {
    Output out(false, false);
    out.Text(text);
    out.Flush();
    return kExitOk;
  };
  if (first == "--version") {
    if (arguments.size() == 1) return print(VersionText());
    if (arguments.size() == 2 && arguments[1] == "--json") return print(VersionInfo().Dump() + "\n");
    throw UsageError({.where = "--version",
                      .what = "unexpected argument " + Quoted(arguments.back()),
                      .expected = "nothing, or --json"});
  }
  const bool help = first == "--help" || first == "-h" || first == "help";
  if (help && arguments.size() == 1) return print(ProgramHelp(commands));
  if (help) {  // "help tokenize" means "tokenize --help"
    std::vector<std::string> turned(arguments.begin() + 1, arguments.end());
    turned.emplace_back("--help");
    return Dispatch(turned, commands);
  }
  size_t words = 0;
  if (Command* command = FindCommand(arguments, commands, words)) {
    return RunCommand(*command, {arguments.begin() + static_cast<std::ptrdiff_t>(words), arguments.end()});
  }
  if (const std::string group = GroupHelp(first, commands); !group.empty()) {
    if (arguments.size() == 2 && (arguments[1] == "--help" || arguments[1] == "-h")) return print(group);
    if (arguments.size() == 1) {
      std::fputs(group.c_str(), stderr);
      return kExitUsage;
    }
  }
  ThrowUnknownCommand(arguments, commands);
}

}  // namespace

int RunProgram(const std::vector<std::string>& arguments, const Commands& commands) {
  try {
    if (const char* simd = std::getenv("STABLELM_SIMD"); simd && *simd) SelectSimdTarget(simd);
    return Dispatch(arguments, commands);
  } catch (const UsageError& e) {
    PrintError(e.what());
    return kExitUsage;
  } catch (const Error& e) {
    PrintError(e.what());
  } catch (const InterruptedExit&) {
    return kExitInterrupted;
  } catch (const BrokenPipe&) {
    // Die of SIGPIPE like a tool that never caught it: quietly, and so that the shell's pipefail sees it.
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
  } catch (const std::bad_alloc&) {
    PrintError("out of memory; free: " + HumanBytes(AvailableMemory()) + "\n" +
               "hint:  use a smaller model, batch or context, or --dtype fp16");
  } catch (const std::filesystem::filesystem_error& e) {
    PrintError(e.path1().string() + ": " + e.code().message());
  } catch (const std::exception& e) {
    PrintError(std::string("unexpected failure: ") + e.what());
  }
  return kExitFailed;
}

}  // namespace stablelm
