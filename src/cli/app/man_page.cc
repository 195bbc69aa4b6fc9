#include "cli/app/man_page.h"

#include <algorithm>
#include <cctype>

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

}  // namespace

std::string ManPageName(const std::string& command) {
  std::string name = command.empty() ? "stablelm" : "stablelm-" + command;
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string ProgramManPage(std::span<const CommandText> commands, const std::string& version) {
  std::string out = Head("", "StableLM-Tuned-Alpha and its GPT-NeoX relatives as one native program", version);
  out +=
      ".SH SYNOPSIS\n"
      ".B stablelm\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.br\n"
      ".B stablelm\n.I COMMAND\n.B \\-\\-help\n.br\n"
      ".B stablelm \\-\\-version\n[\\fB\\-\\-json\\fR]\n"
      ".SH COMMANDS\n";
  for (const CommandText& command : commands) {
    out += ".TP\n.BR " + Roff(ManPageName(command.name)) + " (1)\n" + Roff(command.summary) + ".\n";
  }
  out += kExit;
  return out +
         ".SH ENVIRONMENT\n.TP\n.B STABLELM_SIMD\nForces an instruction set; \\fBstablelm \\-\\-version\\fR lists "
         "those "
         "built.\n";
}

std::string CommandManPage(const CommandText& command, const std::string& version) {
  std::string out = Head(command.name, command.summary, version);
  out += ".SH SYNOPSIS\n.B stablelm " + Roff(command.name) + "\n[\\fIOPTIONS\\fR]\n";
  for (const OptionText& option : command.options) {
    if (option.Positional()) out += "[\\fI" + Roff(option.names[0]) + "\\fR]\n";
  }
  out += ".SH OPTIONS\n";
  for (const OptionText& option : command.options) {
    out += ".TP\n";
    for (size_t i = 0; i < option.names.size(); ++i) {
      out += (i > 0 ? ", " : "") + std::string(option.Positional() ? "\\fI" : "\\fB") + Roff(option.names[i]) + "\\fR";
    }
    if (option.TakesValue() && !option.Positional()) out += " \\fI" + Roff(option.value) + "\\fR";
    out += "\n" + Roff(option.help) + (option.help.ends_with(".") ? "\n" : ".\n");
  }
  out += ".SH EXAMPLES\n" + AsItIs(command.examples);
  out += kExit;
  return out + ".SH SEE ALSO\n.BR stablelm (1)\n";
}

}  // namespace stablelm
