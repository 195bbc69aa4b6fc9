#include "cli/app/help_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "cli/app/commands.h"
#include "run_program.h"
#include "shell_commands.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Adds the words that are wider than the window to `words`, each with its option. Nothing else may be.
void CheckWidth(const std::string& page, size_t width, std::set<std::string>& words) {
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);) {
    if (line.size() <= width) continue;
    std::string word = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    if (word.ends_with(" \\")) word.resize(word.size() - 2);
    EXPECT_EQ(word.find(' '), std::string::npos) << width << ": " << line;
    words.insert(word);
  }
}

TEST(HelpPage, Wraps) {
  EXPECT_EQ(Wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(Wrapped("  one   two ", 20, 2), "one two");
  EXPECT_EQ(Wrapped("unbreakable x", 4, 1), "unbreakable\n x");
  EXPECT_EQ(Wrapped("", 4, 1), "");
}

TEST(HelpPage, FitsTheWindow) {
  const std::vector<CommandText> commands = DescribeCommands(AllCommands());
  for (const size_t width : {40u, 60u, 80u, 100u}) {
    std::set<std::string> too_wide;
    CheckWidth(ProgramHelp(commands, width), width, too_wide);
    for (const char* group : {"bench", "data", "lora"}) CheckWidth(GroupHelp(group, commands, width), width, too_wide);
    for (const CommandText& command : commands) {
      CheckWidth(CommandHelp(command, false, width), width, too_wide);
      CheckWidth(CommandHelp(command, true, width), width, too_wide);
    }
    if (width == 40) {
      EXPECT_THAT(too_wide, ElementsAre("recipes/data/stablelm-tuned-alpha.yaml",
                                        "stablelm-tuned|dolly-v2|oasst-neox|alpaca|none",
                                        "~/.config/fish/completions/stablelm.fish"));
    } else {
      EXPECT_THAT(too_wide, IsEmpty()) << width;
    }
  }
}

TEST(HelpPage, UsesTheWindowsWidth) {
  TerminalProgram help({"generate", "--help"}, {.columns = 40});
  EXPECT_EQ(help.Exit(), 0);
  std::string page = help.all();
  std::erase(page, '\r');
  std::set<std::string> too_wide;
  CheckWidth(page, 40, too_wide);
  EXPECT_THAT(page, HasSubstr("\nUsage: stablelm generate [-m MODEL]\n       [PROMPT] [OPTIONS]\n"));
}

TEST(HelpPage, WrappedExamplesAreTheSameCommands) {
  for (const CommandText& command : DescribeCommands(AllCommands())) {
    for (const size_t width : {40u, 60u, 80u}) {
      std::string page = CommandHelp(command, false, width);
      page.erase(0, page.find("\nExamples:\n") + 11);
      page.resize(page.find("\n\n"));
      EXPECT_EQ(ShellCommands(page), ShellCommands(command.examples)) << command.name;
    }
  }
}

// An example that is too long for the window goes on behind a backslash: it still runs when it is copied.
TEST(HelpPage, LongExamplesStayCommands) {
  CommandText command = {.name = "x",
                         .summary = "Do",
                         .examples = "  stablelm x --name \"a text that is long\" --other 5\n",
                         .notes = "Types:\n  AA   some long words about it",
                         .options = {}};
  EXPECT_THAT(CommandHelp(command, false, 44),
              HasSubstr("\n  stablelm x --name \"a text that is long\" \\\n      --other 5\n"));
  EXPECT_THAT(CommandHelp(command, false, 40),
              HasSubstr("\n  stablelm x --name \\\n      \"a text that is long\" --other 5\n"));
  // An option keeps its value.
  command.examples = "  stablelm x one two --return 2 --output out.jsonl\n";
  EXPECT_THAT(CommandHelp(command, false, 36),
              HasSubstr("\n  stablelm x one two --return 2 \\\n      --output out.jsonl\n"));
  EXPECT_THAT(CommandHelp(command, false, 31),
              HasSubstr("\n  stablelm x one two \\\n      --return 2 \\\n      --output out.jsonl\n"));
  EXPECT_THAT(CommandHelp(command, false, 24), HasSubstr("\n  AA   some long words\n       about it\n"));
  // A word that is wider than what is left stands further to the left, or alone.
  command.examples = "  stablelm x -m a/model/with/a/long/name.gguf out.gguf\n";
  command.notes = "So:\n  stablelm x -m a/model/with/a/long/name.gguf\n";
  const std::string narrow = CommandHelp(command, false, 34);
  EXPECT_THAT(narrow, HasSubstr("\n  stablelm x -m \\\n   a/model/with/a/long/name.gguf \\\n      out.gguf\n"));
  EXPECT_THAT(narrow, HasSubstr("So:\n  stablelm x -m \\\n     a/model/with/a/long/name.gguf\n"));
  EXPECT_THAT(CommandHelp(command, false, 20),
              HasSubstr("\n  stablelm x -m \\\n  a/model/with/a/long/name.gguf \\\n      out.gguf\n"));
}

TEST(HelpPage, EveryCommandHasATask) {
  const std::vector<CommandText> commands = DescribeCommands(AllCommands());
  size_t listed = 0;
  for (const CommandGroup& group : CommandsByTask(commands)) {
    EXPECT_NE(group.title, "More");
    listed += group.commands.size();
  }
  EXPECT_EQ(listed, commands.size());
}

TEST(HelpPage, EverydayOptionsFirstAllOnRequest) {
  const ProgramResult help = RunProgramBinary({"generate", "--help"}),
                      all = RunProgramBinary({"generate", "--help-all"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("Usage: stablelm generate [-m MODEL] [PROMPT] [OPTIONS]\n"));
  EXPECT_LT(help.out.find("Examples:"), help.out.find("Everyday options:"));
  EXPECT_THAT(help.out, HasSubstr("  -n, --max-new-tokens N"));
  EXPECT_THAT(help.out, Not(HasSubstr("--num-predict")));
  EXPECT_THAT(help.out, HasSubstr(" --min-p "));  // named, not explained
  EXPECT_THAT(all.out, HasSubstr("  -n, --max-new-tokens, --max-tokens, --n-predict, --predict, --num-predict N\n"));
  EXPECT_THAT(all.out, HasSubstr("  --min-p N"));
  for (const char* option : {"-p, --prompt N", "-n, --steps N", "-b, --batch N"}) {
    EXPECT_THAT(RunProgramBinary({"bench", "model", "--help"}).out, HasSubstr("  " + std::string(option))) << option;
  }
  const std::string chat = RunProgramBinary({"chat", "--help"}).out;
  EXPECT_THAT(chat, HasSubstr("Usage: stablelm chat [MODEL] [OPTIONS]\n"));
  EXPECT_THAT(chat, HasSubstr("Text and files: --invalid-utf8 --plain --history --check-weights\n"));
  EXPECT_THAT(RunProgramBinary({"convert", "--help-all"}).out, HasSubstr("  OUT, -o, --out, --output, --outfile"));
  EXPECT_THAT(RunProgramBinary({"fit", "--help"}).out, HasSubstr("context: the longest sequence"));
  EXPECT_THAT(RunProgramBinary({"quantize", "--help"}).out,
              HasSubstr("Usage: stablelm quantize MODEL OUT [TYPE] [OPTIONS]"));
  EXPECT_THAT(RunProgramBinary({"data", "show", "--help"}).out,
              HasSubstr("Usage: stablelm data show [-m MODEL] FOLDER [OPTIONS]"));
  EXPECT_THAT(RunProgramBinary({"report", "--help"}).out, HasSubstr("Usage: stablelm report RUN [OPTIONS]"));
  EXPECT_THAT(RunProgramBinary({"score", "--help"}).out, HasSubstr("Usage: stablelm score -m MODEL [TEXT] [OPTIONS]"));
}

}  // namespace
}  // namespace stablelm
