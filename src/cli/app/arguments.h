// The words of a command line, sorted into options and positional arguments, with the names and values of other
// programs (cli/app/habits.h) in ours.
//
//   --name VALUE, --name=VALUE, --flag, --flag=true|false   long names; '_' counts as '-'
//   -x VALUE, -x=VALUE, -x8                                 a glued value only when it is a number
//   --                                                      everything behind it is positional
// Of an option with one value that is given twice the last value holds; values of options that add up are kept in
// order.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/app/command_table.h"

namespace stablelm {

struct GivenOption {
  std::string name;                  // the option's long name, in the command's own words
  std::optional<std::string> value;  // empty for a flag
};

// An option that a command does not have.
class UnknownOption : public UsageError {
 public:
  // `guessed`: the hint names what was meant.
  UnknownOption(ErrorInfo info, std::string option, bool guessed)
      : UsageError(std::move(info)), option_(std::move(option)), guessed_(guessed) {}
  const std::string& option() const { return option_; }
  bool guessed() const { return guessed_; }

 private:
  std::string option_;
  bool guessed_;
};

struct Arguments {
  std::vector<GivenOption> options;
  std::vector<std::string> positionals;
  std::optional<std::string> text;  // from -p or --prompt: the text argument, behind the positionals
  std::optional<std::string> out;   // from -o or --outfile: the argument OUT, behind the model (PlaceModel)
  std::vector<std::string> notes;   // about names that mislead
  bool help = false, help_all = false;

  const std::string* ValueOf(const std::string& option) const;  // null when not given
  bool Has(const std::string& option) const;
  void Remove(const std::string& option);
  // For CLI11: options, "--", positionals and text.
  std::vector<std::string> Words() const;
};

// Throws UsageError for an unknown option (with the nearest name), a missing value, or an option that this build does
// not have.
Arguments ReadArguments(std::span<const std::string> words, const CommandText& command);

}  // namespace stablelm
