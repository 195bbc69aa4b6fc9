#include "cli/app/help_page.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace stablelm {
namespace {

constexpr size_t kFewOptions = 20;  // a command with no more shows them all in --help

constexpr auto kEveryday = std::to_array<std::string_view>(
    {"--model", "--file", "--user", "--system", "--load", "--max-new-tokens", "--temperature", "--top-p", "--seed",
     "--context", "--threads", "--quantize", "--json", "--help", "--help-all"});

struct Task {
  std::string_view title, commands;  // commands separated by commas
};
constexpr auto kTasks = std::to_array<Task>({
    {"Talk and write", "run,chat,generate"},
    {"Look into a model", "inspect,fit"},
    {"Look into prompts and tokens", "prompt,tokenize,detokenize"},
    {"Make models", "convert,quantize,imatrix,lora merge,init"},
    {"Prepare data and train", "prepare,data show,data stats,data verify,data export,finetune,report"},
    {"Measure", "score,bench model,bench train,bench memory,bench compute,bench sampler,bench tokenizer"},
    {"Set up the shell", "completion,man"},
});

// Also one with a letter of its own in the command: `bench model -p`.
bool IsEveryday(const OptionText& option) {
  return option.names.size() > 1 || std::ranges::find(kEveryday, option.LongName()) != kEveryday.end();
}

// Wraps text that begins at `column` of a line; later lines are indented as far.
std::string WrappedFrom(size_t column, const std::string& text, size_t width) {
  return Wrapped(std::string(column, '\1') + text, width, column).substr(column);
}

// A line of a table with two columns, wrapped in its second column.
std::string WrappedRow(const std::string& line, size_t width) {
  const size_t gap = line.find("  ", line.find_first_not_of(' '));
  const size_t column = line.find_first_not_of(' ', gap);
  if (column == std::string::npos || line.size() <= width) return line;
  return line.substr(0, column) + WrappedFrom(column, line.substr(column), width);
}

// The end of a shell word that begins at `begin`, quoted spaces included.
size_t EndOfWord(const std::string& line, size_t begin) {
  char quote = 0;
  for (size_t i = begin; i < line.size(); ++i) {
    if (quote == 0 && (line[i] == '"' || line[i] == '\'')) {
      quote = line[i];
    } else if (line[i] == quote) {
      quote = 0;
    } else if (quote == 0 && line[i] == ' ') {
      return i;
    }
  }
  return line.size();
}

std::string WrappedCommands(const std::string& examples, size_t width) {
  std::string out;
  for (size_t begin = 0; begin < examples.size();) {
    const size_t end = std::min(examples.find('\n', begin), examples.size());
    out += WrappedCommand(examples.substr(begin, end - begin), width);
    begin = end + 1;
  }
  return out;
}

// One line per row: the left side, and the text beside it, or below it where the left side is long.
std::string Row(const std::string& left, const std::string& text, size_t column, size_t width) {
  std::string line = "  " + Wrapped(left, width - 2, 6);
  if (width < column + 24) {  // a narrow window: the text below
    return line + "\n      " + WrappedFrom(6, text, width) + "\n";
  }
  if (line.size() + 2 > column) {
    line += "\n" + std::string(column, ' ');
  } else {
    line.resize(column, ' ');
  }
  return line + WrappedFrom(column, text, width) + "\n";
}

// -m and MODEL stay together.
std::string WrappedUsage(std::string usage, size_t width) {
  const size_t space = usage.find("-m MODEL");
  if (space != std::string::npos) usage[space + 2] = '\1';
  std::string wrapped = Wrapped("Usage: " + usage, width, 7);
  std::ranges::replace(wrapped, '\1', ' ');
  return wrapped;
}

// The argument that takes a dash alone is shown as one.
std::string ShownName(const std::string& name) { return name == "STDIN" ? "-" : name; }

std::string NamesOf(const OptionText& option, bool all) {
  std::string text;
  for (const std::string& name : option.names) text += (text.empty() ? "" : ", ") + ShownName(name);
  std::string_view short_form;
  for (const std::string& name : option.also) {
    if (!all && (name.size() != 2 || !short_form.empty())) continue;
    if (name.size() == 2) short_form = name;
    text = name.size() == 2 && !option.Positional() ? name + ", " + text : text + ", " + name;
  }
  if (option.Positional()) return text;
  if (option.IsTrueOrFalse()) return text + " [true|false]";
  return text + (option.TakesValue() ? " " + option.value : "");
}

std::string OptionRow(const OptionText& option, bool all, size_t width) {
  return Row(NamesOf(option, all), option.help, 28, width);
}

std::string Paragraphs(const std::string& notes, size_t width) {
  std::string out, paragraph;
  const auto flush = [&] {
    if (!paragraph.empty()) out += Wrapped(paragraph, width, 0) + "\n";
    paragraph.clear();
  };
  for (size_t begin = 0; begin < notes.size();) {
    const size_t end = std::min(notes.find('\n', begin), notes.size());
    const std::string line = notes.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty() || line[0] == ' ') {
      flush();
      const bool row = line.find("  ", line.find_first_not_of(' ')) != std::string::npos;
      out += row ? WrappedRow(line, width) + "\n" : WrappedCommand(line, width);
    } else {
      paragraph += (paragraph.empty() ? "" : " ") + line;
      if (line.ends_with(":")) flush();
    }
  }
  flush();
  return out;
}

}  // namespace

size_t HelpWidth() {
  winsize window{};
  if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return 80;
  return std::clamp<size_t>(window.ws_col, 40, 100);
}

std::string WrappedCommand(std::string line, size_t width) {
  constexpr size_t kIndent = 6, kLeastIndent = 2, kBackslash = 2;
  std::string out;
  while (line.size() > width) {
    const size_t first = EndOfWord(line, line.find_first_not_of(' '));
    size_t cut = first, before_option = 0;
    for (size_t end = first; end < line.size() && (end == first || end + kBackslash < width);
         end = EndOfWord(line, end + 1)) {
      cut = end;
      if (line[end + 1] == '-') before_option = end;
    }
    if (cut == line.size()) break;
    const bool fits = kIndent + EndOfWord(line, cut + 1) - before_option - 1 + kBackslash <= width;
    if (before_option > width / 3 && fits) cut = before_option;
    out += line.substr(0, cut) + " \\\n";
    line.erase(0, cut + 1);
    const size_t next = EndOfWord(line, 0) + (EndOfWord(line, 0) < line.size() ? kBackslash : 0);
    line.insert(0, std::clamp(width - std::min(width, next), kLeastIndent, kIndent), ' ');
  }
  return out + line + "\n";
}

std::string Wrapped(std::string_view paragraph, size_t width, size_t indent) {
  std::string out;
  size_t column = 0;
  while (!paragraph.empty()) {
    const size_t end = std::min(paragraph.find(' '), paragraph.size());
    const std::string_view word = paragraph.substr(0, end);
    paragraph.remove_prefix(std::min(end + 1, paragraph.size()));
    if (word.empty()) continue;
    if (column > 0 && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::vector<CommandGroup> CommandsByTask(std::span<const CommandText> commands) {
  std::vector<CommandGroup> groups;
  std::vector<const CommandText*> rest;
  for (const CommandText& command : commands) rest.push_back(&command);
  for (const Task& task : kTasks) {
    CommandGroup group = {.title = std::string(task.title), .commands = {}};
    for (std::string_view names = task.commands; !names.empty();) {
      const size_t end = std::min(names.find(','), names.size());
      const auto found =
          std::ranges::find_if(rest, [&](const CommandText* c) { return c->name == names.substr(0, end); });
      names.remove_prefix(std::min(end + 1, names.size()));
      if (found == rest.end()) continue;
      group.commands.push_back(*found);
      rest.erase(found);
    }
    if (!group.commands.empty()) groups.push_back(std::move(group));
  }
  if (!rest.empty()) groups.push_back({.title = "More", .commands = std::move(rest)});
  return groups;
}

std::string ProgramHelp(std::span<const CommandText> commands, size_t width) {
  constexpr size_t kBegin = 29;
  std::string out =
      Wrapped("stablelm: runs, trains and quantizes StableLM-Tuned-Alpha and other GPT-NeoX models", width, 0) +
      "\n\n"
      "Usage: stablelm COMMAND [OPTIONS]\n"
      "\n"
      "Where to begin:\n" +
      Row("stablelm chat", "talk to the small model that comes with it", kBegin, width) +
      Row("stablelm fit MODEL", "whether another one fits here", kBegin, width) +
      Row("stablelm run MODEL", "talk to it", kBegin, width) +
      Row("stablelm run MODEL \"Hi\"", "one answer", kBegin, width) +
      Row("stablelm COMMAND --help", "how a command works", kBegin, width) + "\n" +
      Wrapped(
          "A MODEL is a folder as on Hugging Face, a .gguf file, or the id (org/name) of a model in the Hugging Face "
          "cache. The environment variable STABLELM_MODEL names it once for all commands. stablelm chat --help tells "
          "how to get one.",
          width, 0) +
      "\n";
  size_t column = 0;
  for (const CommandText& command : commands) column = std::max(column, command.name.size() + 4);
  for (const CommandGroup& group : CommandsByTask(commands)) {
    out += "\n" + group.title + ":\n";
    for (const CommandText* command : group.commands) out += Row(command->name, command->summary, column, width);
  }
  return out + "\n" +
         Wrapped(
             "stablelm --version says what this build has; stablelm man prints manual pages. Exit codes: 0 done, 1 "
             "failed, 2 wrong usage, 130 interrupted.",
             width, 0) +
         "\n";
}

std::string GroupHelp(const std::string& name, std::span<const CommandText> commands, size_t width) {
  std::string list;
  for (const CommandText& command : commands) {
    if (command.name.starts_with(name + " ")) list += Row(command.name, command.summary, 19, width);
  }
  return list.empty() ? "" : WrappedUsage("stablelm " + name + " COMMAND [OPTIONS]", width) + "\n\nCommands:\n" + list;
}

std::string UsageOf(const CommandText& command) {
  constexpr std::string_view kNeeded[] = {"IN", "OUT", "FOLDER", "RUN"};
  std::string usage = "stablelm " + command.name, arguments;
  bool model_first = false, model = false;
  for (const OptionText& option : command.options) {
    if (option.Positional()) {
      const bool is_model = option.names[0] == "MODEL";
      const bool needed =
          is_model ? !command.model_optional : std::ranges::find(kNeeded, option.names[0]) != std::end(kNeeded);
      model_first = model_first || is_model;
      arguments += " " + (needed ? option.names[0] : "[" + ShownName(option.names[0]) + "]");
    }
    model = model || option.LongName() == "--model";
  }
  const bool optional = command.model_optional || command.runs_without_model;
  if (model && !model_first) usage += optional ? " [-m MODEL]" : " -m MODEL";
  return usage + arguments + " [OPTIONS]";
}

std::string CommandHelp(const CommandText& command, bool all, size_t width) {
  std::string out = Wrapped(command.summary, width, 0) + "\n\n" + WrappedUsage(UsageOf(command), width) +
                    "\n\nExamples:\n" + WrappedCommands(command.examples, width);
  std::vector<std::string> groups;
  for (const OptionText& option : command.options) {
    const std::string group = option.Positional() ? "Arguments" : option.group;
    if (std::ranges::find(groups, group) == groups.end()) groups.push_back(group);
  }
  // "Options" first, what every command has last.
  std::ranges::stable_sort(groups, {}, [](const std::string& group) {
    return group == "Arguments" ? 0 : group == "Options" ? 1 : group == "Every command" ? 3 : 2;
  });
  const auto in_group = [&](const OptionText& option, const std::string& group) {
    return (option.Positional() ? "Arguments" : option.group) == group;
  };
  if (all || command.options.size() <= kFewOptions) {
    for (const std::string& group : groups) {
      out += "\n" + group + ":\n";
      for (const OptionText& option : command.options) {
        if (in_group(option, group)) out += OptionRow(option, all, width);
      }
    }
  } else {
    out += "\nEveryday options:\n";
    const auto everyday = [](const OptionText& option) { return option.Positional() || IsEveryday(option); };
    for (const std::string& group : groups) {
      for (const OptionText& option : command.options) {
        if (in_group(option, group) && everyday(option)) out += OptionRow(option, false, width);
      }
    }
    out += "\n" + Wrapped("More options, which stablelm " + command.name + " --help-all explains:", width, 0) + "\n";
    for (const std::string& group : groups) {
      std::string names;
      for (const OptionText& option : command.options) {
        if (in_group(option, group) && !everyday(option)) names += " " + option.LongName();
      }
      if (!names.empty()) out += "  " + Wrapped(group + ":" + names, width - 2, 6) + "\n";
    }
  }
  if (!command.notes.empty()) out += "\n" + Paragraphs(command.notes, width);
  return out;
}

}  // namespace stablelm
