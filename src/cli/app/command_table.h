// The commands and their help as data, for completion scripts and manual pages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

using Commands = std::vector<std::unique_ptr<Command>>;

struct OptionText {
  std::vector<std::string> names;      // "-m", "--model"; without dashes for a positional argument
  std::string value;                   // its metavar in --help: "N", "DIR|ID", "fp32|fp16"; empty for a flag
  std::string help;                    // one paragraph
  std::vector<std::string> choices;    // the lower-case values in `value`
  bool takes_file = false;             // the value may name a file or folder
  bool repeats = false;                // values add up; otherwise the last one holds
  std::string group = {};              // heading in --help-all (BeginGroup)
  std::vector<std::string> also = {};  // names of other programs (cli/app/habits.h)
  bool Positional() const { return !names[0].starts_with("-"); }
  bool TakesValue() const { return !value.empty(); }
  bool IsText() const { return Positional() && (value == "TEXT" || value == "PROMPT"); }
  bool IsTrueOrFalse() const {
    return choices == std::vector<std::string>{"true", "false"};
  }  // the value may be left out
  const std::string& LongName() const { return names.back(); }
};

struct CommandText {
  std::string name;  // "tokenize", "bench memory"
  std::string summary;
  std::string examples;  // lines of commands
  std::string notes;     // paragraphs
  std::vector<OptionText> options;
  bool model_optional = false;      // kModelOptional
  bool runs_without_model = false;  // the arguments name what is needed of a model
};

// Adds the command's own options and the common ones to `app`, which parses the command line and prints --help.
// DescribeCommands reads it too.
void BuildApp(Command& command, CLI::App& app);

// The command's texts, from the options that BuildApp added to `app`.
CommandText Describe(const Command& command, const CLI::App& app);

// In the order of `commands`.
std::vector<CommandText> DescribeCommands(const Commands& commands);

}  // namespace stablelm
