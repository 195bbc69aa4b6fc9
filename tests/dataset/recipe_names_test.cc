// Names of the recipe's choices: each is found by its own name, no other name is known.
#include <gtest/gtest.h>

#include "dataset/recipe.h"

namespace stablelm {
namespace {

TEST(RecipeNames, FindThemselves) {
  for (const std::string& name : SourceKindNames()) EXPECT_EQ(NameOf(SourceKindOf(name).value()), name);
  for (const std::string& name : LossRuleNames()) EXPECT_EQ(NameOf(LossRuleOf(name).value()), name);
  for (const std::string& name : PackingNames()) EXPECT_EQ(NameOf(PackingOf(name).value()), name);
  EXPECT_FALSE(SourceKindOf("Alpaca"));
  EXPECT_FALSE(LossRuleOf(""));
  EXPECT_FALSE(PackingOf("packed"));
}

}  // namespace
}  // namespace stablelm
