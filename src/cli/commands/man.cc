// stablelm man: prints manual pages or writes them into a folder.
#include <filesystem>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "cli/app/commands.h"
#include "cli/app/habits.h"
#include "cli/app/man_page.h"
#include "cli/app/options.h"
#include "cli/app/version.h"

namespace stablelm {
namespace {

class ManCommand : public Command {
 public:
  std::string Name() const override { return "man"; }
  std::string Summary() const override { return "Print the manual page of the program or of a command"; }
  std::string Examples() const override {
    return "  stablelm man chat | man -l -\n"
           "  stablelm man bench memory\n"
           "  stablelm man --folder /usr/local/share/man/man1";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "COMMAND", "COMMAND", command_, "The command (default: the page of the program)");
    AddText(app, "SUBCOMMAND", "SUBCOMMAND", subcommand_, "Its second word, as in bench memory");
    AddText(app, "--folder", "DIR", folder_, "Write the pages of the program and of every command into DIR");
  }
  int Run(Output& out) override;

 private:
  std::optional<std::string> command_, subcommand_, folder_;
};

int ManCommand::Run(Output& out) {
  const auto refuse = [](const char* where, const char* what, const char* hint) {
    throw UsageError({.where = where, .what = what, .hint = hint});
  };
  if (out.json()) refuse("--json", "not supported: the output is a manual page", "leave it out");
  if (command_ && folder_) refuse("--folder", "writes all pages, and one command was named", "leave one of them out");
  const std::string version = VersionInfo().At("version").Text();
  const std::vector<CommandText> commands = DescribeCommands(AllCommands());
  if (folder_) {
    std::filesystem::create_directories(*folder_);
    const auto write = [&](const std::string& name, const std::string& page) {
      WriteTextFileAtomically(std::filesystem::path(*folder_) / (ManPageName(name) + ".1"), page);
    };
    write("", ProgramManPage(commands, version));
    std::set<std::string> groups;
    for (const CommandText& command : commands) {
      write(command.name, CommandManPage(command, version));
      if (const std::string group = GroupOf(command.name); !group.empty()) groups.insert(group);
    }
    for (const std::string& group : groups) write(group, GroupManPage(group, commands, version));
    out.Note(std::to_string(commands.size() + groups.size() + 1) + " pages written to " + *folder_);
    return kExitOk;
  }
  if (!command_) {
    out.Text(ProgramManPage(commands, version));
    return kExitOk;
  }
  const std::string typed = *command_ + (subcommand_ ? " " + *subcommand_ : "");
  const std::string name(CommandOfHabit(typed));  // "show" is inspect
  std::vector<std::string> names;
  for (const CommandText& command : commands) {
    names.push_back(command.name);
    if (command.name != name) continue;
    out.Text(CommandManPage(command, version));
    return kExitOk;
  }
  if (const std::string page = GroupManPage(name, commands, version); !page.empty()) {
    out.Text(page);
    return kExitOk;
  }
  throw UsageError({.where = "man",
                    .what = "unknown command " + Quoted(typed),
                    .hint = DidYouMean(typed, names, "stablelm --help lists the commands")});
}

}  // namespace

std::unique_ptr<Command> MakeMan() { return std::make_unique<ManCommand>(); }

}  // namespace stablelm
