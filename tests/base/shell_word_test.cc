#include "base/shell_word.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(ShellWord, QuotesWhatAShellWouldRead) {
  EXPECT_EQ(ShellWord("runs/my_run-1/step-30"), "runs/my_run-1/step-30");
  EXPECT_EQ(ShellWord("modèle.gguf"), "modèle.gguf");
  EXPECT_EQ(ShellWord("my model"), "'my model'");
  EXPECT_EQ(ShellWord("it's"), R"('it'\''s')");
  EXPECT_EQ(ShellWord("~/x"), "'~/x'");  // a file of that name, not the home folder
  EXPECT_EQ(ShellWord("a$b"), "'a$b'");
  EXPECT_EQ(ShellWord(""), "''");
}

}  // namespace
}  // namespace stablelm
