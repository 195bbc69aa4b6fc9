// The commands and their help as data, for completion scripts and manual pages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

using Commands = std::vector<std::unique_ptr<Command>>;

struct OptionText {
  std::vector<std::string> names;    // "-m", "--model"; without dashes for a positional argument
  std::string value;                 // its metavar in --help: "N", "DIR|ID", "fp32|fp16"; empty for a flag
  std::string help;                  // one paragraph
  std::vector<std::string> choices;  // the lower-case values in `value`
  bool takes_file = false;           // the value may name a file or folder
  bool Positional() const { return !names[0].starts_with("-"); }
  bool TakesValue() const { return !value.empty(); }
};

struct CommandText {
  std::string name;  // "tokenize", "bench memory"
  std::string summary;
  std::string examples;  // the end of --help
  std::vector<OptionText> options;
};

// Adds the command's own options and the common ones to `app`, which parses the command line and prints --help.
// DescribeCommands reads it too.
void BuildApp(Command& command, CLI::App& app);

// In the order of `commands`.
std::vector<CommandText> DescribeCommands(const Commands& commands);

}  // namespace stablelm
