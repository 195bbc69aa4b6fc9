// The demo model is trained on texts that name commands of this program (demo/texts). Every command in them is read by
// the real command line here: the commands parse their options and are not run. A "/word" is a command of the chat.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "cli/chat/chat_session.h"
#include "parsed_only.h"
#include "shell_commands.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::IsEmpty;

// The exit code of a command line that starts with "stablelm", and what it printed to standard error.
std::pair<int, std::string> Parse(const std::string& line) {
  std::vector<std::string> words = ShellCommands(line).at(0);
  words.erase(words.begin());
  return ParseOnly(words);
}

// demo/texts, all of it.
std::string AllTexts() {
  std::string all;
  for (const auto& file : std::filesystem::directory_iterator(TestData("../../demo/texts"))) {
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    all += text.str();
  }
  return all;
}

// All matches of a pattern's first group.
std::set<std::string> Matches(const std::string& text, const char* pattern) {
  std::set<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
    found.insert((*match)[1]);
  return found;
}

constexpr const char* kCommand = "`(stablelm [^`\\n]*)`";

TEST(DemoCommands, WrongOnesAreFound) {
  EXPECT_EQ(Parse("stablelm chat MODEL --kv q8").first, kExitOk);
  EXPECT_EQ(Parse("stablelm chat MODEL --system \"Be brief.\"").first, kExitOk);
  for (const char* wrong : {"stablelm chat MODEL --kv q9", "stablelm chatt MODEL", "stablelm fit MODEL --tensors",
                            "stablelm score -m MODEL The sky"}) {
    EXPECT_EQ(Parse(wrong).first, kExitUsage) << wrong;
  }
}

TEST(DemoCommands, AreCorrect) {
  const std::set<std::string> commands = Matches(AllTexts(), kCommand);
  EXPECT_GT(commands.size(), 20u);
  for (const std::string& command : commands) {
    const auto [code, error] = Parse(command);
    EXPECT_EQ(code, kExitOk) << command << "\n" << error;
  }
}

// Outside of backticks nothing would be checked.
TEST(DemoCommands, StandBetweenBackticks) {
  const std::string prose = std::regex_replace(AllTexts(), std::regex(std::string(kCommand) + "|\n= [^\n]*"), "");
  // A word and what can be an argument: "stablelm can run Pythia" is prose.
  EXPECT_THAT(Matches(prose, R"((stablelm [a-z]+ (?:-|MODEL|"|[^ ]+\.)[^\n]*))"), IsEmpty());
}

TEST(DemoCommands, OfTheChatExist) {
  const std::set<std::string> words = Matches(AllTexts(), R"([ (](/[a-z]+))");
  EXPECT_THAT(words, testing::IsSupersetOf({"/exit", "/help", "/reset"}));
  std::string names;  // "/set", and "/exit, /quit" of a command with several
  for (const ChatCommandHelp& command : ChatSession::Commands()) names += " " + command.name + ",";
  for (const std::string& word : words) EXPECT_THAT(names, testing::HasSubstr(" " + word + ","));
}

}  // namespace
}  // namespace stablelm
