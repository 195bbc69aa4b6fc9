#include "cli/terminal/message_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stablelm {
namespace {

TEST(MessageLines, QuotesAndContinuations) {
  const auto read = [](std::vector<std::string> lines) {
    MessageLines message;
    for (size_t i = 0; i < lines.size(); ++i) {
      const bool complete = message.Add(lines[i]);
      EXPECT_EQ(complete, i + 1 == lines.size()) << lines[i];
      EXPECT_TRUE(complete || message.open());
    }
    const std::string text = message.Take();
    EXPECT_FALSE(message.open());
    return text;
  };
  EXPECT_EQ(read({"plain"}), "plain");
  EXPECT_EQ(read({"one \\", "two\\", "three"}), "one \ntwo\nthree");
  EXPECT_EQ(read({"\"\"\"", "a", "", "b \\", "\"\"\""}), "a\n\nb \\");
  EXPECT_EQ(read({"\"\"\"a", "b\"\"\""}), "a\nb");
  EXPECT_EQ(read({"\"\"\"on one line\"\"\""}), "on one line");
  EXPECT_EQ(read({"\"\"\"", "\"\"\""}), "");
  EXPECT_EQ(read({"not \"\"\" at the beginning"}), "not \"\"\" at the beginning");
}

}  // namespace
}  // namespace stablelm
