#include "cli/app/man_page.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "cli/app/help_page.h"

namespace stablelm {
namespace {

// Escapes text for roff: doubles backslashes, keeps dashes as typed, and starts no line with a roff request.
std::string Roff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string Head(const std::string& command, const std::string& summary, const std::string& version) {
  std::string title = ManPageName(command);
  std::string shout = title;
  std::ranges::transform(shout, shout.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return ".TH \"" + shout + "\" 1 \"\" \"stablelm " + Roff(version) + "\" \"User Commands\"\n.SH NAME\n" + Roff(title) +
         " \\- " + Roff(summary) + "\n";
}

// Several lines, verbatim.
std::string AsItIs(const std::string& text) {
  return ".nf\n" + Roff(text) + (text.ends_with("\n") ? "" : "\n") + ".fi\n";
}

constexpr const char* kExit =
    ".SH EXIT STATUS\n"
    "0 done, 1 failed, 2 wrong usage, 130 interrupted.\n";

// What the program reads besides its arguments, and for which commands: all, those with a model, those that can do
// without the name of one, or one.
struct Outside {
  std::string_view name, about, of;
};
constexpr Outside kVariables[] = {
    {"STABLELM_MODEL", "The model when the command line names none: a folder, a .gguf file or a hub id", "model"},
    {"HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HOME",
     "Where the Hugging Face cache is (default: ~/.cache/huggingface/hub)", "model"},
    {"STABLELM_SIMD", "Forces an instruction set; stablelm --version lists those built", "all"},
    {"NO_COLOR, TERM", "No colour when NO_COLOR is set or TERM is dumb", "all"},
    {"VISUAL, EDITOR", "The editor of /edit", "chat"},
    {"XDG_STATE_HOME, HOME", "Where the history of typed lines is kept", "chat"},
};
constexpr Outside kFiles[] = {
    {"~/.cache/huggingface/hub", "Models that are named by their hub id (org/name)", "model"},
    {"PREFIX/share/stablelm/stablelm-demo.gguf",
     "The small model that answers when none is named; PREFIX/bin is where the program is", "model optional"},
    {"~/.local/state/stablelm/chat_history", "What was typed in chats; --history names another file", "chat"},
    {"~/.editrc", "Keys of the line editor (editrc(5))", "chat"},
    {"OUT.run.json", "Settings of a run over a file of prompts, with which it resumes", "generate"},
};

std::string Section(const char* title, std::span<const Outside> rows, const CommandText* command) {
  const auto takes_model = [](const OptionText& option) { return option.LongName() == "--model"; };
  std::string out;
  for (const Outside& row : rows) {
    const bool of_command = !command || row.of == "all" || row.of == command->name ||
                            (row.of == "model optional" && command->model_optional) ||
                            (row.of == "chat" && command->name == "run") ||
                            (row.of == "model" && std::ranges::any_of(command->options, takes_model));
    if (of_command) out += ".TP\n\\fB" + Roff(std::string(row.name)) + "\\fR\n" + Roff(std::string(row.about)) + ".\n";
  }
  return out.empty() ? "" : std::string(".SH ") + title + "\n" + out;
}

// Paragraphs; indented lines stay as they are.
std::string Paragraphs(const std::string& text) {
  std::string out;
  bool as_it_is = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with(" ") != as_it_is) out += (as_it_is = !as_it_is) ? ".nf\n" : ".fi\n";
    out += line.empty() ? ".PP\n" : Roff(line) + "\n";
  }
  return out + (as_it_is ? ".fi\n" : "");
}

}  // namespace

std::string ManPageName(const std::string& command) {
  std::string name = command.empty() ? "stablelm" : "stablelm-" + command;
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string GroupOf(const std::string& command) {
  const size_t space = command.find(' ');
  return space == std::string::npos ? "" : command.substr(0, space);
}

std::string GroupManPage(const std::string& name, std::span<const CommandText> commands, const std::string& version) {
  std::string rows;
  for (const CommandText& command : commands) {
    if (!command.name.starts_with(name + " ")) continue;
    rows += ".TP\n.BR " + Roff(ManPageName(command.name)) + " (1)\n" + Roff(command.summary) + ".\n";
  }
  if (rows.empty()) return "";
  return Head(name, "a group of commands", version) + ".SH SYNOPSIS\n.B " + Roff("stablelm " + name) +
         "\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH COMMANDS\n" + rows + kExit + ".SH SEE ALSO\n.BR stablelm (1)\n";
}

std::string ProgramManPage(std::span<const CommandText> commands, const std::string& version) {
  std::string out = Head("", "runs, trains and quantizes StableLM-Tuned-Alpha and other GPT-NeoX models", version);
  out +=
      ".SH SYNOPSIS\n"
      ".B stablelm\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.br\n"
      ".B stablelm\n.I COMMAND\n.B \\-\\-help\n.br\n"
      ".B stablelm \\-\\-version\n[\\fB\\-\\-json\\fR]\n"
      ".SH DESCRIPTION\n"
      "Runs, measures and converts language models of the GPT\\-NeoX architecture on the processor. A model is a "
      "folder "
      "as on\nHugging Face, a GGUF file, or the id (org/name) of a model in the Hugging Face cache.\n.PP\n"
      "Results go to standard output, notes, warnings and progress to standard error. With \\fB\\-\\-json\\fR a "
      "command prints one\nJSON object per line.\n"
      ".SH COMMANDS\n";
  for (const CommandGroup& group : CommandsByTask(commands)) {
    out += ".SS " + Roff(group.title) + "\n";
    std::string named;  // the group of commands that has its row
    for (const CommandText* command : group.commands) {
      if (const std::string name = GroupOf(command->name); name != named) {
        named = name;
        if (!name.empty())
          out += ".TP\n.BR " + Roff(ManPageName(name)) + " (1)\nThe commands that begin with " + name + ".\n";
      }
      out += ".TP\n.BR " + Roff(ManPageName(command->name)) + " (1)\n" + Roff(command->summary) + ".\n";
    }
  }
  return out + kExit + Section("ENVIRONMENT", kVariables, nullptr) + Section("FILES", kFiles, nullptr);
}

std::string CommandManPage(const CommandText& command, const std::string& version) {
  std::string out = Head(command.name, command.summary, version);
  const std::string usage = UsageOf(command), name = "stablelm " + command.name;
  out += ".SH SYNOPSIS\n.B " + Roff(name) + "\n" + Roff(usage.substr(name.size() + 1)) + "\n.SH DESCRIPTION\n" +
         Roff(command.summary) + ".\n";
  if (!command.notes.empty()) out += ".PP\n" + Paragraphs(command.notes);
  out += ".SH OPTIONS\n";
  for (const OptionText& option : command.options) {
    out += ".TP\n";
    std::vector<std::string> names = option.names;
    names.insert(names.end(), option.also.begin(), option.also.end());
    for (size_t i = 0; i < names.size(); ++i) {
      out += (i > 0 ? ", " : "") + std::string(names[i].starts_with("-") ? "\\fB" : "\\fI") +
             Roff(names[i] == "STDIN" ? "-" : names[i]) + "\\fR";
    }
    if (option.TakesValue() && !option.Positional()) out += " \\fI" + Roff(option.value) + "\\fR";
    out += "\n" + Roff(option.help) + (option.help.ends_with(".") ? "\n" : ".\n");
  }
  out += ".SH EXAMPLES\n" + AsItIs(command.examples) + kExit;
  const std::string group = GroupOf(command.name);
  return out + Section("ENVIRONMENT", kVariables, &command) + Section("FILES", kFiles, &command) +
         ".SH SEE ALSO\n.BR stablelm (1)\n" + (group.empty() ? "" : ".BR " + Roff(ManPageName(group)) + " (1)\n");
}

}  // namespace stablelm
