#include "cli/app/completion_script.h"

#include <algorithm>
#include <map>
#include <vector>

namespace stablelm {
namespace {

constexpr const char* kGlobalFlags[] = {"--help", "--version"};

std::string Words(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A command group ("bench") and the second words of its commands, in order.
struct Group {
  std::string name;
  std::vector<std::string> commands;
};

struct Names {
  std::vector<std::string> first;  // words that may follow "stablelm": commands and groups
  std::vector<Group> groups;
};
Names NamesOf(std::span<const CommandText> commands) {
  Names names;
  for (const CommandText& command : commands) {
    const size_t space = command.name.find(' ');
    const std::string first = command.name.substr(0, space);
    if (std::ranges::find(names.first, first) == names.first.end()) names.first.push_back(first);
    if (space == std::string::npos) continue;
    if (names.groups.empty() || names.groups.back().name != first) {
      names.groups.push_back({.name = first, .commands = {}});
    }
    names.groups.back().commands.push_back(command.name.substr(space + 1));
  }
  return names;
}

// Completions for a positional argument: the commands, if the argument names a command.
std::vector<std::string> ChoicesOf(const OptionText& option, const Names& names) {
  return option.names[0] == "COMMAND" ? names.first : option.choices;
}

// Quotes `text` as one word for bash, zsh and fish (fish accepts \' inside quotes).
std::string SingleQuoted(const std::string& text, const char* quote) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += quote;
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

std::string BashCompletion(std::span<const CommandText> commands) {
  const Names names = NamesOf(commands);
  std::string out =
      "# bash completion of stablelm: written by `stablelm completion bash`\n"
      "_stablelm() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]-}\n"
      "  local options= values= files=\n"
      "  # \"--kv=fp\" comes as three words\n"
      "  if [[ $current == = ]]; then\n"
      "    current=\n"
      "  elif [[ $before == = ]]; then\n"
      "    before=${COMP_WORDS[COMP_CWORD-2]}\n"
      "  fi\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W '" +
      Words(names.first) + " help " +
      Words(std::vector<std::string>(std::begin(kGlobalFlags), std::end(kGlobalFlags))) +
      "' -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case $command in\n";
  for (const Group& group : names.groups) {
    out += "    " + group.name + ")\n      if ((COMP_CWORD == 2)); then\n        COMPREPLY=($(compgen -W '" +
           Words(group.commands) + " --help' -- \"$current\"))\n        return\n      fi\n      command=\"" +
           group.name + " ${COMP_WORDS[2]}\"\n      ;;\n";
  }
  out += "    help) values='" + Words(names.first) + "' ;;\n  esac\n  case $command in\n";
  for (const CommandText& command : commands) {
    out += "    '" + command.name + "')\n      case $before in\n";
    std::string flags, free;
    std::vector<std::string> values;
    bool files = false;
    for (const OptionText& option : command.options) {
      if (option.Positional()) {
        for (const std::string& choice : ChoicesOf(option, names)) values.push_back(choice);
        files |= option.takes_file || option.value == "TEXT" || option.value == "PROMPT";
        continue;
      }
      flags += (flags.empty() ? "" : " ") + Words(option.names);
      if (!option.TakesValue()) continue;
      std::string pattern;
      for (const std::string& name : option.names) pattern += (pattern.empty() ? "" : "|") + name;
      if (option.choices.empty() && !option.takes_file) {
        free += (free.empty() ? "" : "|") + pattern;
        continue;
      }
      out += "        " + pattern + ")";
      if (!option.choices.empty()) out += " values='" + Words(option.choices) + "'";
      if (option.takes_file) out += std::string(option.choices.empty() ? "" : ";") + " files=1";
      out += " ;;\n";
    }
    if (!free.empty()) out += "        " + free + ") return ;;\n";
    out += "        *)\n          options='" + flags + "'\n";
    if (!values.empty()) out += "          values='" + Words(values) + "'\n";
    if (files) out += "          files=1\n";
    out += "          ;;\n      esac\n      ;;\n";
  }
  out +=
      "  esac\n"
      "  if [[ $current == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
      "  else\n"
      "    if [[ $files ]]; then\n"
      "      mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "      compopt -o filenames 2> /dev/null\n"
      "    fi\n"
      "    COMPREPLY+=($(compgen -W \"$values\" -- \"$current\"))\n"
      "  fi\n"
      "}\n"
      "complete -F _stablelm stablelm\n";
  return out;
}

std::string ZshCompletion(std::span<const CommandText> commands) {
  const Names names = NamesOf(commands);
  const auto quoted = [](const std::string& text) { return SingleQuoted(text, "'\\''"); };
  // In _arguments, ':' and brackets end a description.
  const auto escaped = [](const std::string& text) {
    std::string out;
    for (const char c : text) {
      if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  };
  const auto action = [&](const OptionText& option) {
    const std::vector<std::string> choices = ChoicesOf(option, names);
    if (!choices.empty()) return "(" + Words(choices) + ")";
    return std::string(option.takes_file || option.value == "TEXT" || option.value == "PROMPT" ? "_files" : " ");
  };
  std::string out =
      "#compdef stablelm\n"
      "# zsh completion of stablelm: written by `stablelm completion zsh`\n"
      "_stablelm() {\n"
      "  local -a commands=(\n";
  for (const std::string& first : names.first) {
    std::string summary = "commands of this group";
    for (const CommandText& command : commands) {
      if (command.name == first) summary = command.summary;
    }
    out += "    " + quoted(escaped(first) + ":" + summary) + "\n";
  }
  out +=
      "    'help:Show the page of a command'\n"
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe -t commands command commands\n"
      "    compadd -- --help --version\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const Group& group : names.groups) {
    out += "    " + group.name + ")\n      if (( CURRENT == 2 )); then\n        compadd -- " + Words(group.commands) +
           " --help\n        return\n      fi\n      command=\"" + group.name +
           " $words[2]\"\n      shift words\n      (( CURRENT-- ))\n      ;;\n";
  }
  out += "    help) _describe -t commands command commands; return ;;\n  esac\n  case $command in\n";
  for (const CommandText& command : commands) {
    out += "    " + quoted(command.name) + ")\n      _arguments -s";
    for (const OptionText& option : command.options) {
      const std::string help = "[" + escaped(option.help) + "]";
      const std::string value = option.TakesValue() ? ":" + escaped(option.value) + ":" + action(option) : "";
      if (option.Positional()) {
        out += " \\\n        " + quoted(value);
        continue;
      }
      const bool repeats = option.help.find("more than once") != std::string::npos;
      for (const std::string& name : option.names) {
        const std::string others = repeats || option.names.size() == 1 ? "" : "(" + Words(option.names) + ")";
        const char* glue = !option.TakesValue() ? "" : name.starts_with("--") ? "=" : "+";
        out += " \\\n        " + quoted((repeats ? "*" : others) + name + glue + help + value);
      }
    }
    out += "\n      ;;\n";
  }
  return out +
         "  esac\n"
         "}\n"
         "if [[ ${funcstack[1]-} == _stablelm ]]; then _stablelm \"$@\"; else compdef _stablelm stablelm; fi\n";
}

std::string FishCompletion(std::span<const CommandText> commands) {
  const Names names = NamesOf(commands);
  const auto quoted = [](const std::string& text) { return SingleQuoted(text, "\\'"); };
  std::string out =
      "# fish completion of stablelm: written by `stablelm completion fish`\n"
      "complete -c stablelm -f\n"
      "complete -c stablelm -n __fish_use_subcommand -a help -d 'Show the page of a command'\n"
      "complete -c stablelm -n __fish_use_subcommand -l help -d 'List the commands'\n"
      "complete -c stablelm -n __fish_use_subcommand -l version -d 'What this program is'\n"
      "complete -c stablelm -n '__fish_seen_subcommand_from help' -a " +
      quoted(Words(names.first)) + "\n";
  for (const CommandText& command : commands) {
    const size_t space = command.name.find(' ');
    const std::string first = command.name.substr(0, space);
    std::string condition = "__fish_seen_subcommand_from " + first;
    if (space == std::string::npos) {
      out += "complete -c stablelm -n __fish_use_subcommand -a " + first + " -d " + quoted(command.summary) + "\n";
    } else {
      const std::string second = command.name.substr(space + 1);
      out += "complete -c stablelm -n __fish_use_subcommand -a " + first + " -d 'commands of this group'\n";
      out += "complete -c stablelm -n '" + condition + "; and not __fish_seen_subcommand_from " + second + "' -a " +
             second + " -d " + quoted(command.summary) + "\n";
      condition += "; and __fish_seen_subcommand_from " + second;
    }
    for (const OptionText& option : command.options) {
      out += "complete -c stablelm -n '" + condition + "'";
      for (const std::string& name : option.names) {
        if (name.starts_with("--")) {
          out += " -l " + name.substr(2);
        } else if (name.starts_with("-")) {
          out += " -s " + name.substr(1);
        }
      }
      const std::vector<std::string> choices = ChoicesOf(option, names);
      if (option.TakesValue() && !option.Positional()) out += " -r";
      if (!choices.empty()) out += " -a " + quoted(Words(choices));
      out += option.takes_file || option.value == "TEXT" || option.value == "PROMPT" ? " -F" : " -f";
      out += " -d " + quoted(option.help) + "\n";
    }
  }
  return out;
}

}  // namespace stablelm
