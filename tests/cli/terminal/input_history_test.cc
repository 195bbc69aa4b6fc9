// The history file: what is read is what was typed, whoever wrote it, in whatever order.
#include "cli/terminal/input_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class InputHistory : public testing::Test {
 protected:
  const TempFolder temp_;
  const std::string path_ = (temp_.path() / "history").string();
};

TEST_F(InputHistory, KeepsEveryText) {
  EXPECT_THAT(LoadHistory(path_, 9), IsEmpty());
  const std::vector<std::string> entries = {"plain", "two\nlines\tand a tab", "back\\slash \\040",
                                            "caf\u00E9 \U0001F600"};
  for (const std::string& entry : entries) AppendHistory(path_, entry);
  EXPECT_EQ(LoadHistory(path_, 9), entries);
  EXPECT_THAT(LoadHistory(path_, 1), ElementsAre(entries.back()));
}

TEST_F(InputHistory, ReadsWhatLibeditWrote) {
  std::ofstream(path_) << "_HiStOrY_V2_\none\\040two\nb\\\\s\\^G\n";
  EXPECT_THAT(LoadHistory(path_, 9), ElementsAre("one two", "b\\s\x07"));
  std::ofstream(path_) << "some other file\n";
  EXPECT_THAT(LoadHistory(path_, 9), IsEmpty());
}

TEST_F(InputHistory, SeveralWritersLoseNothing) {
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) AppendHistory(path_, "an entry of some length, which is never torn");
    });
  }
  for (std::thread& one : writers) one.join();
  const std::vector<std::string> entries = LoadHistory(path_, 1000);
  EXPECT_EQ(entries.size(), 200u);
  EXPECT_THAT(entries, testing::Each("an entry of some length, which is never torn"));
}

TEST_F(InputHistory, IsShortened) {
  for (int i = 0; i < 25; ++i) AppendHistory(path_, std::to_string(i));
  EXPECT_EQ(LoadHistory(path_, 10).size(), 10u);
  EXPECT_EQ(LoadHistory(path_, 100).size(), 10u);
  AppendHistory(path_, "more");
  EXPECT_EQ(LoadHistory(path_, 100).back(), "more");
}

}  // namespace
}  // namespace stablelm
