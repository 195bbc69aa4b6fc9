#include "cli/app/command_table.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/habits.h"
#include "cli/app/options.h"

namespace stablelm {
namespace {

// In a metavar, capitals name a kind of value ("N", "FILE"); lower case gives the values themselves ("fp32|fp16").
void ReadMetavar(const std::string& value, OptionText& option) {
  for (size_t begin = 0; begin < value.size();) {
    const size_t end = std::min(value.find('|', begin), value.size());
    const std::string part = value.substr(begin, end - begin);
    begin = end + 1;
    const bool literal = std::ranges::all_of(
        part, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
    if (literal) {
      option.choices.push_back(part);
      continue;
    }
    if (part == "IN" || part == "MODEL") option.takes_file = true;
    for (const char* kind : {"FILE", "DIR", "PATH", "OUT", ".json"}) {
      if (!part.starts_with("@") && part.find(kind) != std::string::npos) option.takes_file = true;
    }
  }
}

OptionText TextOf(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  if (text.names.empty()) {
    text.names.push_back(option.get_name(true));
    text.value = text.names[0];
  } else if (option.get_type_size_max() > 0) {
    text.value = option.get_type_name();
  }
  text.help = option.get_description();
  text.group = option.get_group();
  text.repeats = option.get_expected_max() > 1;
  ReadMetavar(text.value, text);
  if (text.value == "TYPE") {
    const bool on_load = text.names[0] == "--quantize";
    for (const QuantMix& mix : QuantMixes()) {
      if (!on_load || IsQuantized(mix.base)) text.choices.emplace_back(mix.name);
    }
  }
  return text;
}

}  // namespace

void BuildApp(Command& command, CLI::App& app) {
  BeginGroup(app, kCommonGroup);
  app.set_help_flag("-h,--help", "Show the everyday options and end");
  BeginGroup(app, "Options");
  AddModelArgument(app, command.Takes(), command.common);
  command.AddOptions(app);
  AddCommonOptions(app, command.Takes(), command.common);
  BeginGroup(app, kCommonGroup);
  app.add_flag("--help-all")->description("Show every option, with the names that other programs give it, and end");
}

CommandText Describe(const Command& command, const CLI::App& app) {
  CommandText text = {.name = command.Name(),
                      .summary = command.Summary(),
                      .examples = {},
                      .notes = {},
                      .options = {},
                      .model_optional = (command.Takes() & kModelOptional) != 0,
                      .runs_without_model = command.ModelIsNamed()};
  for (const CLI::Option* option : app.get_options()) text.options.push_back(TextOf(*option));
  for (OptionText& option : text.options) {
    for (const Habit& habit : Habits()) {
      const bool same = habit.option == (option.IsText() ? "TEXT" : option.LongName());
      const auto has = [&](std::string_view name) {
        return std::ranges::any_of(text.options, [&](const OptionText& other) {
          return name == (other.IsText() ? "TEXT" : other.LongName());
        });
      };
      if (!same || habit.kind != HabitKind::kOption || FindHabit(habit.name, text.name, has) != &habit) continue;
      const auto names = [&](const OptionText& other) {
        return std::ranges::find(other.names, habit.name) != other.names.end();
      };
      if (std::ranges::none_of(text.options, names)) option.also.emplace_back(habit.name);
    }
  }
  // The examples are the lines of commands at the beginning, the notes what follows.
  const std::string all = command.Examples();
  size_t begin = 0;
  while (begin < all.size() && all.compare(begin, 2, "  ") == 0)
    begin = std::min(all.find('\n', begin), all.size() - 1) + 1;
  text.examples = all.substr(0, begin);
  text.notes = all.substr(std::min(all.find_first_not_of('\n', begin), all.size()));
  if (!text.examples.ends_with("\n")) text.examples += "\n";
  return text;
}

std::vector<CommandText> DescribeCommands(const Commands& commands) {
  std::vector<CommandText> all;
  for (const auto& command : commands) {
    CLI::App app;
    BuildApp(*command, app);
    all.push_back(Describe(*command, app));
  }
  return all;
}

}  // namespace stablelm
