#include "base/utf8.h"

#include <gtest/gtest.h>

namespace stablelm::utf8 {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string s;
    Append(c, s);
    const Decoded d = DecodeOne(s);
    ASSERT_TRUE(d.valid);
    ASSERT_EQ(d.code_point, c);
    ASSERT_EQ(d.bytes, s.size());
    for (size_t cut = 1; cut < s.size(); ++cut) ASSERT_TRUE(DecodeOne(s.substr(0, cut)).incomplete);
  }
}

TEST(Utf8, IllFormedByMaximalSubpart) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(ReplaceInvalid("a\xC0\x80"), "a" + r + r);   // overlong: two subparts
  EXPECT_EQ(ReplaceInvalid("\xED\xA0\x80"), r + r + r);  // surrogate
  EXPECT_EQ(ReplaceInvalid("\xF0\x9F\x98x"), r + "x");   // truncated: one subpart
  EXPECT_EQ(ReplaceInvalid("\xE4\xBD"), r);
  EXPECT_EQ(ReplaceInvalid("\xF5\xFF"), r + r);
  EXPECT_EQ(ReplaceInvalid("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(FirstInvalid("0123456789\xFF"), 10u);
  EXPECT_EQ(FirstInvalid("0123456789é日本"), kValid);
}

}  // namespace
}  // namespace stablelm::utf8
