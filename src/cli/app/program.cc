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
#include "base/shell_word.h"
#include "base/system.h"
#include "cli/app/arguments.h"
#include "cli/app/command_table.h"
#include "cli/app/habits.h"
#include "cli/app/help_page.h"
#include "cli/app/interrupt.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/output.h"
#include "cli/app/version.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

struct Found {
  Command* command = nullptr;
  size_t words = 0;  // of its name
};
// The command that the first one or two words name; null when there is none.
Found FindCommand(const std::vector<std::string>& arguments, const Commands& commands) {
  for (size_t words = std::min<size_t>(2, arguments.size()); words > 0; --words) {
    const std::string name = words == 2 ? arguments[0] + " " + arguments[1] : arguments[0];
    for (const auto& command : commands) {
      if (command->Name() == name) return {.command = command.get(), .words = words};
    }
  }
  return {};
}

bool IsGroup(const std::string& name, const Commands& commands) {
  return std::ranges::any_of(commands, [&](const auto& command) { return command->Name().starts_with(name + " "); });
}

int PrintPage(const std::string& page) {
  Output out(false, false);
  out.Text(page);
  out.Flush();
  return kExitOk;
}

[[noreturn]] void ThrowUnknownCommand(const std::vector<std::string>& arguments, const Commands& commands) {
  const std::string& first = arguments[0];
  std::vector<std::string> names;
  std::string typed = first;
  if (const std::string_view about = AboutMissingCommand(first); !about.empty()) {
    throw UsageError({.where = first, .what = std::string(about), .hint = "stablelm --help lists the commands"});
  }
  std::string otherwise = "stablelm --help lists the commands";
  if (IsGroup(first, commands)) {
    if (arguments.size() > 1) typed += " " + arguments[1];
    otherwise = "stablelm " + first + " --help lists its commands";
    for (const auto& command : commands) {
      if (command->Name().starts_with(first + " ")) names.push_back(command->Name());
    }
  } else {
    for (const auto& command : commands) {
      names.push_back(command->Name().substr(0, command->Name().find(' ')));
    }
    for (const char* flag : {"--help", "--version"}) names.emplace_back(flag);
    if (NamesModel(first)) otherwise = "stablelm run " + ShellWord(first) + " talks to this model";
    if (first == "-m" || first == "--model") otherwise = "the command comes first: stablelm run -m MODEL";
  }
  throw UsageError(
      {.what = first.starts_with("-") ? "unknown option " + Quoted(typed) : "unknown command " + Quoted(typed),
       .hint = DidYouMean(typed, names, otherwise)});
}

// The model of STABLELM_MODEL, when the options name none.
std::string ModelOfEnvironment(const Command& command) {
  const char* model = std::getenv("STABLELM_MODEL");
  return (command.Takes() & kTakesModel) && model ? model : "";
}

// With kTakesModelFirst: makes the model the first positional argument, from -m, or from STABLELM_MODEL when there are
// no more arguments than the command needs besides the model (without any, RunCommand sets it). Returns whether it came
// from the environment. OUT of -o becomes the first argument, or the one after the model.
bool PlaceModel(const Command& command, Arguments& arguments) {
  const bool model_first = (command.Takes() & kTakesModelFirst) == kTakesModelFirst;
  std::vector<std::string>& words = arguments.positionals;
  if (arguments.out) {
    const bool behind = model_first && !arguments.ValueOf("--model") && !words.empty();
    words.insert(words.begin() + (behind ? 1 : 0), *arguments.out);
  }
  if (!model_first) return false;
  if (const std::string* model = arguments.ValueOf("--model")) {
    words.insert(words.begin(), *model);
    arguments.Remove("--model");
    return false;
  }
  const std::string model = ModelOfEnvironment(command);
  if (model.empty() || words.empty() || words.size() > command.NeededAfterModel(arguments)) return false;
  words.insert(words.begin(), model);
  return true;
}

// A variable of a shell that is not set (-m "$MODEL") must not lead to another model.
void RefuseEmptyModel(const Command& command, const Arguments& arguments) {
  const std::string* option = arguments.ValueOf("--model");
  const bool first = (command.Takes() & kTakesModelFirst) == kTakesModelFirst;
  const bool empty = first && !arguments.positionals.empty() && arguments.positionals[0].empty();
  if (!empty && (!option || !option->empty())) return;
  throw UsageError({.where = "--model",
                    .what = "the model's name is empty",
                    .expected = "a model folder, a .gguf file or a hub id",
                    .hint = "a variable of the shell that is not set? Without a model leave the argument out"});
}

void RefuseMoreArguments(const Command& command, const CommandText& text, const Arguments& arguments,
                         bool model_moved) {
  const std::vector<std::string>& words = arguments.positionals;
  const size_t most = static_cast<size_t>(std::ranges::count_if(text.options, &OptionText::Positional));
  if (words.size() + (arguments.text ? 1 : 0) <= most) return;
  if (arguments.text) {
    throw UsageError({.where = "-p",
                      .what = "the text is given twice, by an option and as an argument",
                      .found = Quoted(words.back()),
                      .hint = "leave one of them out"});
  }
  if (model_moved) {
    throw UsageError({.where = "--model",
                      .what = "the model is given twice, by -m and as an argument",
                      .found = Quoted(words[0]) + " and " + Quoted(words[1]),
                      .hint = "leave one of them out"});
  }
  if ((command.Takes() & kTakesModelFirst) == kTakesModel && !arguments.ValueOf("--model") && NamesModel(words[0])) {
    throw UsageError({.where = command.Name(),
                      .what = "unexpected argument " + Quoted(words[most]),
                      .hint = "a model is named by -m here: -m " + ShellWord(words[0])});
  }
  throw UsageError({.where = command.Name(),
                    .what = "unexpected argument " + Quoted(words[most]),
                    .hint = command.Name() == "chat" ? "stablelm run MODEL TEXT answers one message"
                                                     : "put text with spaces in quotes; stablelm " + command.Name() +
                                                           " --help shows the options"});
}

int Dispatch(const std::vector<std::string>& arguments, const Commands& commands);

int RunCommandUnhinted(Command& command, std::span<const std::string> words, const Commands& commands) {
  CLI::App app;
  BuildApp(command, app);
  const CommandText text = Describe(command, app);
  Arguments arguments = ReadArguments(words, text);
  if (arguments.help) return PrintPage(CommandHelp(text, arguments.help_all, HelpWidth()));
  const bool model_named = arguments.ValueOf("--model") != nullptr;
  const bool from_environment = PlaceModel(command, arguments);
  RefuseEmptyModel(command, arguments);
  RefuseMoreArguments(command, text, arguments, model_named && arguments.ValueOf("--model") == nullptr);
  if (std::vector<std::string> other = command.StandsFor(arguments); !other.empty()) {
    return Dispatch(other, commands);
  }
  std::vector<std::string> backwards = arguments.Words();
  std::ranges::reverse(backwards);  // CLI11 pops arguments from the back
  try {
    app.parse(backwards);
  } catch (const CLI::ParseError& e) {
    throw UsageError({.where = command.Name(),
                      .what = "cannot read the options: " + std::string(e.what()),
                      .hint = "stablelm " + command.Name() + " --help shows the options"});
  }
  Output out(command.common.json, command.common.quiet);
  for (const std::string& note : arguments.notes) out.Note(note);
  const std::string model = ModelOfEnvironment(command);
  const bool by_name = !model.empty() && !command.ModelIsNamed();
  if (by_name) command.common.model = model;
  if (by_name || from_environment) out.Note("model " + Quoted(model) + ", from STABLELM_MODEL");
  const int code = command.Run(out);
  out.Flush();
  return code;
}

// ", or -1 or random": what a number's option takes besides numbers in range.
std::string ValuesOfHabits(const std::string& option, const std::string& command) {
  const Habit* habit = FindHabit(option, command, [](std::string_view) { return true; });
  if (!habit || habit->option != option) return "";
  std::vector<std::string> values;
  for (const HabitValue& value : habit->values) values.emplace_back(value.typed);
  return values.empty() ? "" : ", or " + Joined(values, " or ");
}

// The commands that have an option, "stablelm generate, stablelm chat"; "" if none has it. Those of a group (bench)
// mean other things by their options.
std::string CommandsWith(const std::string& option, const Commands& commands) {
  std::vector<std::string> names;
  for (const CommandText& text : DescribeCommands(commands)) {
    if (text.name.find(' ') != text.name.npos) continue;
    const bool has = std::ranges::any_of(
        text.options, [&](const OptionText& one) { return std::ranges::find(one.names, option) != one.names.end(); });
    if (has) names.push_back("stablelm " + text.name);
  }
  return Joined(names);
}

// Every error about usage ends with a next step.
int RunCommand(Command& command, std::span<const std::string> words, const Commands& commands) {
  try {
    return RunCommandUnhinted(command, words, commands);
  } catch (const UnknownOption& error) {
    ErrorInfo info = error.info();
    const std::string others = error.guessed() ? "" : CommandsWith(error.option(), commands);
    if (!others.empty()) info.hint = "it is an option of " + others;
    throw UsageError(info);
  } catch (const UsageError& error) {
    ErrorInfo info = error.info();
    if (info.expected.starts_with("a whole number")) info.expected += ValuesOfHabits(info.where, command.Name());
    if (info.hint.empty()) info.hint = "stablelm " + command.Name() + " --help shows the options";
    throw UsageError(info);
  }
}

int Dispatch(const std::vector<std::string>& arguments, const Commands& commands) {
  if (arguments.empty()) {
    std::fputs(ProgramHelp(DescribeCommands(commands), HelpWidth()).c_str(), stderr);
    return kExitUsage;
  }
  const std::string& first = arguments[0];
  if (first == "--version" || first == "-V" || first == "version") {
    if (arguments.size() == 1) return PrintPage(VersionText());
    if (arguments.size() == 2 && arguments[1] == "--json") return PrintPage(VersionInfo().Dump() + "\n");
    throw UsageError({.where = "--version",
                      .what = "unexpected argument " + Quoted(arguments.back()),
                      .expected = "nothing, or --json"});
  }
  const bool help = first == "--help" || first == "-h" || first == "--help-all" || first == "help";
  if (help && arguments.size() == 1) return PrintPage(ProgramHelp(DescribeCommands(commands), HelpWidth()));
  if (help) {  // "help tokenize" means "tokenize --help"
    std::vector<std::string> turned(arguments.begin() + 1, arguments.end());
    turned.emplace_back(first == "--help-all" ? first : "--help");
    return Dispatch(turned, commands);
  }
  if (const std::string_view known = CommandOfHabit(first); known != first && !FindCommand({first}, commands).command) {
    std::vector<std::string> turned = arguments;
    turned[0] = known;
    return Dispatch(turned, commands);
  }
  if (const Found found = FindCommand(arguments, commands); found.command) {
    return RunCommand(*found.command, std::span(arguments).subspan(found.words), commands);
  }
  if (IsGroup(first, commands)) {
    const std::string group = GroupHelp(first, DescribeCommands(commands), HelpWidth());
    if (arguments.size() == 2 && (arguments[1].starts_with("--help") || arguments[1] == "-h")) return PrintPage(group);
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
