// stablelm completion: prints a shell completion script for the program's commands, options and values.
#include "base/error.h"
#include "cli/app/commands.h"
#include "cli/app/completion_script.h"
#include "cli/app/options.h"

namespace stablelm {
namespace {

class CompletionCommand : public Command {
 public:
  std::string Name() const override { return "completion"; }
  std::string Summary() const override { return "Print a completion script for bash, zsh or fish"; }
  std::string Examples() const override {
    return "  source <(stablelm completion bash)\n"
           "  stablelm completion zsh > ~/.zfunc/_stablelm\n"
           "  stablelm completion fish > ~/.config/fish/completions/stablelm.fish\n"
           "\n"
           "The first line is for the shell that reads it; in ~/.bashrc it is for all.";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddChoice(app, "bash|zsh|fish", {"bash", "zsh", "fish"}, "The shell", [this](size_t i) { shell_ = i; });
  }
  int Run(Output& out) override {
    RequireGiven(shell_.has_value(), "the shell", "stablelm completion bash, zsh or fish");
    if (out.json()) {
      throw UsageError(
          {.where = "--json", .what = "not supported: the output is a shell script", .hint = "leave it out"});
    }
    const std::vector<CommandText> commands = DescribeCommands(AllCommands());
    out.Text(*shell_ == 0   ? BashCompletion(commands)
             : *shell_ == 1 ? ZshCompletion(commands)
                            : FishCompletion(commands));
    return kExitOk;
  }

 private:
  std::optional<size_t> shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletion() { return std::make_unique<CompletionCommand>(); }

}  // namespace stablelm
