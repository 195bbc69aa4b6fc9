#include "base/error.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(Error, SaysWhereWhatFoundExpectedAndHint) {
  const Error e({.where = "a.bin", .what = "wrong shape", .found = "[1]", .expected = "[2]", .hint = "use b.bin"});
  EXPECT_STREQ(e.what(), "a.bin: wrong shape: found [1], expected [2]\nhint:  use b.bin");
}

TEST(Error, EmptyPartsAreLeftOut) { EXPECT_STREQ(Error({.what = "no", .expected = "yes"}).what(), "no: expected yes"); }

TEST(Quoted, ShowsHostileBytesHarmlessly) {
  EXPECT_EQ(Quoted("a\nb\x1B\xFFé"), "\"a\\x0Ab\\x1B\\xFFé\"");
  EXPECT_EQ(Quoted("abcdefgh", 4), "\"abc...\"");
}

}  // namespace
}  // namespace stablelm
