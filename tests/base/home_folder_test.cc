#include "base/home_folder.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <string>

namespace stablelm {
namespace {

TEST(HomeFolder, IsExpandedAtTheBeginning) {
  const std::string home = HomeFolder();
  ASSERT_FALSE(home.empty());
  EXPECT_EQ(ExpandHome("~"), home);
  EXPECT_EQ(ExpandHome("~/a~b"), home + "/a~b");
  EXPECT_EQ(ExpandHome("/a/~/b"), "/a/~/b");
  EXPECT_EQ(ExpandHome(""), "");
}

TEST(HomeFolder, OfAnotherUser) {
  const struct passwd* root = getpwuid(0);
  if (!root) GTEST_SKIP() << "the system knows no users";
  EXPECT_EQ(ExpandHome(std::string("~") + root->pw_name + "/a"), std::string(root->pw_dir) + "/a");
  EXPECT_EQ(ExpandHome("~no such user/a"), "~no such user/a");
}

}  // namespace
}  // namespace stablelm
