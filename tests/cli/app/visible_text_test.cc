#include "cli/app/visible_text.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(VisibleText, NoTextActsOnATerminal) {
  EXPECT_EQ(Visible("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(Visible("\x1B]0;x\x07\r\x7F\xC2\x9B\xFF"), "\\x1B]0;x\\x07\\x0D\\x7F\\x9B\xEF\xBF\xBD");
  EXPECT_EQ(Visible("\xF0\x9F\x98\x80\xE4\xBD\xA0"), "\xF0\x9F\x98\x80\xE4\xBD\xA0");
}

}  // namespace
}  // namespace stablelm
