// Shell completion: runs the scripts in bash, and in zsh and fish where they are installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/app/command_table.h"
#include "cli/app/commands.h"
#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

std::string Where(const std::string& program) {
  for (const char* folder : {"/bin/", "/usr/bin/", "/usr/local/bin/"}) {
    if (std::filesystem::exists(folder + program)) return folder + program;
  }
  return {};
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class Completion : public testing::Test {
 protected:
  std::string Script(const std::string& shell) const {
    const ProgramResult result = RunProgramBinary({"completion", shell});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string file = (temp_.path() / shell).string();
    std::ofstream(file) << result.out;
    return file;
  }
  // The completions that bash offers for the last word.
  std::vector<std::string> Bash(std::vector<std::string> words) const {
    words.insert(words.begin(), "stablelm");
    std::string script = "cd " + temp_.path().string() + "; source " + bash_ + "; COMP_WORDS=(";
    for (const std::string& word : words) script += " '" + word + "'";
    script += "); COMP_CWORD=" + std::to_string(words.size() - 1) + "; _stablelm; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const ProgramResult result = RunProgramBinary({"--norc", "--noprofile", "-c", script}, {.program = Where("bash")});
    EXPECT_EQ(result.err, "");
    std::vector<std::string> lines = Lines(result.out);
    std::erase(lines, "");
    return lines;
  }
  const TempFolder temp_;
  const std::string bash_ = Script("bash");
};

TEST_F(Completion, BashCompletesNamesAndValues) {
  ASSERT_NE(Where("bash"), "");
  EXPECT_THAT(Bash({"ge"}), ElementsAre("generate"));
  EXPECT_THAT(Bash({""}), IsSupersetOf({"chat", "bench", "help", "--version", "man"}));
  EXPECT_THAT(Bash({"bench", ""}), IsSupersetOf({"memory", "compute", "model", "--help"}));
  EXPECT_THAT(Bash({"bench", "compute", "--thr"}), ElementsAre("--threads"));
  EXPECT_THAT(Bash({"chat", "--mod"}), ElementsAre("--model"));
  EXPECT_THAT(Bash({"chat", "--kv", ""}), ElementsAre("fp32", "fp16", "q8"));
  EXPECT_THAT(Bash({"chat", "--kv", "=", "fp1"}), ElementsAre("fp16"));
  EXPECT_THAT(Bash({"chat", "--kv", "="}), ElementsAre("fp32", "fp16", "q8"));
  EXPECT_THAT(Bash({"generate", "--greedy", "--context-policy", "s"}), ElementsAre("shift", "stop"));
  EXPECT_THAT(Bash({"quantize", "--type", "Q4_K"}), ElementsAre("Q4_K_M", "Q4_K"));
  EXPECT_THAT(Bash({"quantize", "--type", ""}), IsSupersetOf({"F32", "BF16", "Q8_0", "Q5_K"}));
  EXPECT_THAT(Bash({"generate", "--quantize", ""}), IsSupersetOf({"Q8_0", "Q4_K_M"}));
  EXPECT_THAT(Bash({"generate", "--quantize", "F"}), IsEmpty());
  EXPECT_THAT(Bash({"generate", "--seed", ""}), IsEmpty());
  EXPECT_THAT(Bash({"help", "ch"}), ElementsAre("chat"));
  EXPECT_THAT(Bash({"man", "ge"}), ElementsAre("generate"));
  EXPECT_THAT(Bash({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Bash({"nosuch", "--"}), IsEmpty());
}

TEST_F(Completion, BashCompletesFilesWithSpaces) {
  std::filesystem::create_directory(temp_.path() / "a model");
  std::ofstream(temp_.path() / "a list.json") << "[]";
  EXPECT_THAT(Bash({"chat", "-m", "a"}), UnorderedElementsAre("a model", "a list.json"));
  EXPECT_THAT(Bash({"chat", "--load", "a l"}), ElementsAre("a list.json"));
  EXPECT_THAT(Bash({"init", "--shape", ""}), IsSupersetOf({"3b", "7b", "a list.json"}));
}

// Completion offers exactly the long names of every command's options, without those of other programs.
TEST_F(Completion, BashKnowsEveryOption) {
  const std::vector<CommandText> commands = DescribeCommands(AllCommands());
  ASSERT_GE(commands.size(), 12u);
  for (const CommandText& command : commands) {
    std::vector<std::string> words;
    std::istringstream in(command.name);
    for (std::string word; in >> word;) words.push_back(word);
    words.emplace_back("--");
    const std::vector<std::string> offered = Bash(words);
    std::set<std::string> options;
    for (const OptionText& option : command.options) {
      if (!option.Positional()) options.insert(option.LongName());
    }
    EXPECT_EQ(std::set(offered.begin(), offered.end()), options) << command.name;
  }
}

TEST_F(Completion, ZshTakesTheScript) {
  const std::string zsh = Where("zsh");
  if (zsh.empty()) GTEST_SKIP() << "zsh is not installed";
  const std::string script = Script("zsh");
  const ProgramResult parsed = RunProgramBinary({"-n", script}, {.program = zsh});
  EXPECT_EQ(parsed.exit_code, 0) << parsed.err;
  // Checks that _arguments accepts the descriptions. zsh completion needs a terminal, so replace its function by one
  // that prints its arguments.
  const ProgramResult run = RunProgramBinary({"-f", "-c",
                                              "compdef() { :; }; _arguments() { print -l -- \"$@\"; }; source " +
                                                  script + "; words=(stablelm chat --k); CURRENT=3; _stablelm"},
                                             {.program = zsh});
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("--kv=["));
  EXPECT_THAT(run.out, HasSubstr(":(fp32 fp16)\n"));
  EXPECT_THAT(run.out, HasSubstr("(-m --model)--model=["));
}

TEST_F(Completion, FishCompletes) {
  const std::string fish = Where("fish");
  if (fish.empty()) GTEST_SKIP() << "fish is not installed";
  const std::string script = Script("fish");
  const auto complete = [&](const std::string& line) {
    const ProgramResult result =
        RunProgramBinary({"--no-config", "-c", "source " + script + "; complete -C '" + line + "'"}, {.program = fish});
    EXPECT_EQ(result.err, "");
    std::vector<std::string> words;
    for (const std::string& found : Lines(result.out)) words.push_back(found.substr(0, found.find('\t')));
    return words;
  };
  EXPECT_THAT(complete("stablelm ge"), ElementsAre("generate"));
  EXPECT_THAT(complete("stablelm chat --kv "), UnorderedElementsAre("fp32", "fp16", "q8"));
  EXPECT_THAT(complete("stablelm chat --mod"), ElementsAre("--model"));
  EXPECT_THAT(complete("stablelm bench "), IsSupersetOf({"memory", "compute"}));
  EXPECT_THAT(complete("stablelm bench compute --thr"), ElementsAre("--threads"));
  EXPECT_THAT(complete("stablelm generate --context-policy s"), UnorderedElementsAre("shift", "stop"));
}

TEST_F(Completion, RefusesOtherShells) {
  EXPECT_THAT(RunProgramBinary({"completion", "bsh"}), Fails(2, "bash|zsh|fish", {"\"bsh\"", "bash?"}));
  EXPECT_THAT(RunProgramBinary({"completion"}), Fails(2, "the shell"));
  EXPECT_THAT(RunProgramBinary({"completion", "bash", "--json"}), Fails(2, "--json"));
}

}  // namespace
}  // namespace stablelm
