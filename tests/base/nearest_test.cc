#include "base/nearest.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("geenrate", "generate"), 1u);  // two neighbours swapped
  EXPECT_EQ(EditDistance("--theads", "--threads"), 1u);
}

TEST(NearestName, FindsSlipsAndNothingElse) {
  const std::vector<std::string> known = {"tokenize",         "detokenize", "generate",
                                          "--max-new-tokens", "--top-k",    "--top-p"};
  EXPECT_EQ(NearestName("tokenise", known), "tokenize");
  EXPECT_EQ(NearestName("gnerate", known), "generate");
  EXPECT_EQ(NearestName("--max-new", known), "--max-new-tokens");
  EXPECT_EQ(NearestName("--topk", known), "--top-k");
  // A prefix is nearer than a typing error, and the shortest continuation is the nearest.
  EXPECT_EQ(NearestName("--top", std::vector<std::string>{"--stop", "--top-n-sigma", "--top-k"}), "--top-k");
  EXPECT_EQ(NearestName("zebra", known), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName("x", {}), "");
  EXPECT_EQ(NearestName(std::string(1 << 20, 'q'), known), "");
}

}  // namespace
}  // namespace stablelm
