// The commands as data: what --help says of them, for completion scripts and manual pages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

using Commands = std::vector<std::unique_ptr<Command>>;

struct OptionText {
  std::vector<std::string> names;    // "-m", "--model"; one without dashes for a positional argument
  std::string value;                 // what stands behind it in --help: "N", "DIR|ID", "fp32|fp16"; empty for a flag
  std::string help;                  // one paragraph
  std::vector<std::string> choices;  // the values in small letters among `value`
  bool takes_file = false;           // the value may be the name of a file or folder
  bool Positional() const { return !names[0].starts_with("-"); }
  bool TakesValue() const { return !value.empty(); }
};

struct CommandText {
  std::string name;  // "tokenize", "bench memory"
  std::string summary;
  std::string examples;  // the end of --help
  std::vector<OptionText> options;
};

// Puts the command's own options and the common ones into `app`: what parses a command line, what --help prints, and
// what DescribeCommands reads.
void BuildApp(Command& command, CLI::App& app);

// In the order of the list.
std::vector<CommandText> DescribeCommands(const Commands& commands);

}  // namespace stablelm
