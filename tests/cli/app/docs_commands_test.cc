// The commands of this program that README.md and docs/*.md show and tests/docs/run_pages.py does not run are read by
// the real command line here: those of blocks with the tag parse-only, and those between backticks. None is run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "parsed_only.h"
#include "shell_commands.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::ElementsAre;

std::vector<std::filesystem::path> Pages() {
  std::vector<std::filesystem::path> pages = {TestData("../../README.md")};
  for (const auto& file : std::filesystem::directory_iterator(TestData("../../docs"))) {
    if (file.path().extension() == ".md") pages.push_back(file.path());
  }
  return pages;
}

struct PageText {
  std::string parse_only;  // commands of the blocks with this tag
  std::string prose;       // everything that is in no block
};

PageText ReadPage(const std::filesystem::path& path) {
  PageText text;
  std::ifstream file(path);
  std::string fence;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      fence = fence.empty() ? line : "";
    } else if (fence.empty()) {
      text.prose += line + "\n";
    } else if (fence.starts_with("```sh parse-only: ")) {
      text.parse_only += line + "\n";
    } else if (fence.starts_with("```console parse-only: ") && line.starts_with("$ ")) {
      text.parse_only += line.substr(2) + "\n";
    }
  }
  return text;
}

// The commands of this program, each without its first word.
std::vector<std::vector<std::string>> CommandsOfThisProgram(const std::string& script) {
  std::vector<std::vector<std::string>> commands;
  for (std::vector<std::string>& words : ShellCommands(script)) {
    const std::string name = std::filesystem::path(words[0]).filename();
    if (name != "stablelm") continue;
    words.erase(words.begin());
    commands.push_back(std::move(words));
  }
  return commands;
}

void ExpectCorrect(const std::filesystem::path& page, const std::vector<std::string>& words) {
  const auto [code, error] = ParseOnly(words);
  EXPECT_EQ(code, kExitOk) << page.filename() << ": " << testing::PrintToString(words) << "\n" << error;
}

TEST(DocsCommands, AreDividedAsAShellDoesIt) {
  EXPECT_THAT(
      CommandsOfThisProgram("cd x && scripts/stablelm fit 'a b' \\\n  --kv q8 > out 2>&1  # why\n"
                            "A=1 build/release/stablelm man | less; echo stablelm\n"
                            "source <(stablelm completion bash)\n"),
      ElementsAre(ElementsAre("fit", "a b", "--kv", "q8"), ElementsAre("man"), ElementsAre("completion", "bash")));
}

TEST(DocsCommands, OfBlocksThatAreNotRunAreCorrect) {
  size_t commands = 0;
  for (const std::filesystem::path& page : Pages()) {
    for (const std::vector<std::string>& words : CommandsOfThisProgram(ReadPage(page).parse_only)) {
      ExpectCorrect(page, words);
      ++commands;
    }
  }
  EXPECT_GT(commands, 5u);
}

// A name alone (`stablelm lora merge`) is prose, and so is what leaves words out (`...`).
TEST(DocsCommands, BetweenBackticksAreCorrect) {
  const std::regex code("`(stablelm [^`]+)`"), with_arguments(R"(stablelm [a-z ]+ (-|[A-Z]|"|[^ ]+\.)[^]*)");
  size_t commands = 0;
  for (const std::filesystem::path& page : Pages()) {
    const std::string prose = ReadPage(page).prose;
    for (std::sregex_iterator match(prose.begin(), prose.end(), code), end; match != end; ++match) {
      std::string command = std::regex_replace((*match)[1].str(), std::regex("\n"), " ");
      if (!std::regex_match(command, with_arguments) || command.find("...") != command.npos) continue;
      for (const std::vector<std::string>& words : CommandsOfThisProgram(command)) {
        ExpectCorrect(page, words);
        ++commands;
      }
    }
  }
  EXPECT_GT(commands, 20u);
}

}  // namespace
}  // namespace stablelm
