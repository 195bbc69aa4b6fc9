#include "cli/app/help_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/app/commands.h"
#include "run_program.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

size_t LongestLine(const std::string& page) {
  std::istringstream in(page);
  size_t longest = 0;
  for (std::string line; std::getline(in, line);) {
    longest = std::max(longest, line.size());
  }
  return longest;
}

TEST(HelpPage, Wraps) {
  EXPECT_EQ(Wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(Wrapped("  one   two ", 20, 2), "one two");
  EXPECT_EQ(Wrapped("unbreakable x", 4, 1), "unbreakable\n x");
  EXPECT_EQ(Wrapped("", 4, 1), "");
}

TEST(HelpPage, FitsTheWindow) {
  const std::vector<CommandText> commands = DescribeCommands(AllCommands());
  for (const size_t width : {72u, 80u, 100u}) {
    EXPECT_LE(LongestLine(ProgramHelp(commands, width)), width);
    for (const CommandText& command : commands) {
      EXPECT_LE(LongestLine(CommandHelp(command, true, width)), width) << command.name;
      EXPECT_LE(LongestLine(CommandHelp(command, false, width)), width) << command.name;
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
