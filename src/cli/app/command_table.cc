#include "cli/app/command_table.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "checkpoint/rewrite/quant_mix.h"
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
    if (part == "IN") option.takes_file = true;
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
  app.description(command.Summary());
  app.allow_extras();  // the caller reports them and names the nearest flag
  app.set_help_flag("-h,--help", "Show this page and end");
  command.AddOptions(app);
  AddCommonOptions(app, command.Takes(), command.common);
}

std::vector<CommandText> DescribeCommands(const Commands& commands) {
  std::vector<CommandText> all;
  for (const auto& command : commands) {
    CLI::App app;
    BuildApp(*command, app);
    CommandText text = {
        .name = command->Name(), .summary = command->Summary(), .examples = command->Examples(), .options = {}};
    for (const CLI::Option* option : app.get_options()) text.options.push_back(TextOf(*option));
    all.push_back(std::move(text));
  }
  return all;
}

}  // namespace stablelm
