#include "cli/app/setting_flags.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(SettingFlags, SettingsBecomeFlagsAndTheRestStays) {
  EXPECT_EQ(WithFlags("`stop_ids`: out of range"), "--stop-id: out of range");
  EXPECT_EQ(WithFlags("a shorter context, `cache=fp16` or `weights=fp16`"),
            "a shorter context, --kv fp16 or --dtype fp16");
  EXPECT_EQ(WithFlags("`stablelm fit` shows; name another `output`"), "`stablelm fit` shows; name another --output");
  EXPECT_EQ(WithFlags("`` ` `x` `strict"), "`` ` `x` `strict");
  EXPECT_EQ(WithFlags("``strict`"), "`--strict");
  EXPECT_EQ(WithFlags(""), "");
}

TEST(SettingFlags, AChatSetsWhatItCan) {
  EXPECT_EQ(WithChatCommands("shorten it, or `context_policy=stop`; `cache=fp16` and `x` stay"),
            "shorten it, or /set context_policy stop; --kv fp16 and `x` stay");
}

}  // namespace
}  // namespace stablelm
