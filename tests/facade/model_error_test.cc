// Tests the exception of the library and its version.
#include "facade/library_testing.h"

namespace stablelm {
namespace {

TEST(ModelError, SaysItsPartsInOneLine) {
  const ModelError error(
      {.kind = ErrorKind::kUsage, .where = "here", .what = "wrong", .found = "1", .expected = "2", .hint = "try 2"});
  const std::exception& base = error;
  EXPECT_STREQ(base.what(), "here: wrong: found 1, expected 2\nhint:  try 2");
  std::optional<ModelError> copy = error;
  const char* text = copy->what();
  const ModelError second = *copy;
  copy.reset();
  EXPECT_EQ(second.what(), text);  // the same text, so that copying cannot throw
  EXPECT_THAT(second.parts(), IsError(ErrorKind::kUsage, "here", "1"));
}

TEST(ModelError, KindsHaveNames) {
  std::string names;
  for (int i = 0; i <= static_cast<int>(ErrorKind::kOther); ++i) {
    names += NameOf(static_cast<ErrorKind>(i)) + std::string(";");
  }
  EXPECT_EQ(names, "usage;not found;invalid model;out of memory;prompt too long;cancelled;other;");
}

TEST(Version, IsThatOfTheHeaders) {
  EXPECT_EQ(Version(), std::to_string(STABLELM_VERSION_MAJOR) + "." + std::to_string(STABLELM_VERSION_MINOR) + "." +
                           std::to_string(STABLELM_VERSION_PATCH));
}

}  // namespace
}  // namespace stablelm
