// Expected values come from huggingface/tokenizers 0.23.3 with the same tokens.
#include "tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stablelm {
namespace {

using testing::ElementsAre;

AddedToken Make(int32_t id, const std::string& content) {
  AddedToken token;
  token.id = id;
  token.content = content;
  return token;
}

// "id:begin-end" of every match.
std::vector<std::string> FindAll(const AddedTokenMatcher& matcher, std::string_view text, bool parse_special = true) {
  std::vector<std::string> out;
  AddedTokenMatcher::Finder finder(matcher, text, parse_special);
  while (const auto m = finder.Next()) {
    out.push_back(std::to_string(m->id) + ":" + std::to_string(m->begin) + "-" + std::to_string(m->end));
  }
  return out;
}

TEST(AddedTokens, LeftmostLongest) {
  std::vector<AddedToken> tokens = {Make(1, "ab"), Make(2, "abcd"), Make(3, "bc"), Make(4, "d")};
  const AddedTokenMatcher matcher(tokens);
  EXPECT_THAT(FindAll(matcher, "abcd"), ElementsAre("2:0-4"));
  EXPECT_THAT(FindAll(matcher, "abc"), ElementsAre("1:0-2"));
  EXPECT_THAT(FindAll(matcher, "xbcd"), ElementsAre("3:1-3", "4:3-4"));
  EXPECT_THAT(FindAll(matcher, "aab"), ElementsAre("1:1-3"));
  EXPECT_THAT(FindAll(matcher, ""), ElementsAre());
  EXPECT_THAT(FindAll(matcher, "xyz"), ElementsAre());
}

TEST(AddedTokens, RunsOfSpacesAreGreedyFromTheLeft) {
  std::vector<AddedToken> tokens;
  for (int32_t n = 24; n >= 2; --n) tokens.push_back(Make(n, std::string(static_cast<size_t>(n), ' ')));
  const AddedTokenMatcher matcher(tokens);
  EXPECT_THAT(FindAll(matcher, std::string(49, ' ')), ElementsAre("24:0-24", "24:24-48"));
  EXPECT_THAT(FindAll(matcher, "a" + std::string(26, ' ') + "b c"), ElementsAre("24:1-25", "2:25-27"));
}

TEST(AddedTokens, SpecialStringsArePassedOverInPlainText) {
  AddedToken special = Make(1, "<s>");
  special.special = true;
  const AddedTokenMatcher matcher({special, Make(2, "><"), Make(3, "s>x")});
  EXPECT_THAT(FindAll(matcher, "<s><s>x"), ElementsAre("1:0-3", "1:3-6"));
  // Tokens inside the string of a skipped token are not matched.
  EXPECT_THAT(FindAll(matcher, "<s><s>x", false), ElementsAre());
  EXPECT_THAT(FindAll(matcher, "s>x><", false), ElementsAre("3:0-3", "2:3-5"));
}

TEST(AddedTokens, SingleWord) {
  AddedToken word = Make(1, "<w>");
  word.single_word = true;
  const AddedTokenMatcher matcher({word});
  EXPECT_THAT(FindAll(matcher, "x<w>"), ElementsAre());
  EXPECT_THAT(FindAll(matcher, "\xC3\xA9<w>"), ElementsAre());
  EXPECT_THAT(FindAll(matcher, "_<w>"), ElementsAre());
  EXPECT_THAT(FindAll(matcher, "<w>\xE2\x93\x90"), ElementsAre());     // a circled letter is alphabetic
  EXPECT_THAT(FindAll(matcher, "<w>\xC2\xBD"), ElementsAre("1:0-3"));  // one half is not a word character
  EXPECT_THAT(FindAll(matcher, "-<w>-"), ElementsAre("1:1-4"));
  EXPECT_THAT(FindAll(matcher, "x <w> y"), ElementsAre("1:2-5"));
}

TEST(AddedTokens, StripsTakeWhiteSpace) {
  AddedToken left = Make(1, "<l>"), right = Make(2, "<r>");
  left.lstrip = true;
  right.rstrip = true;
  const AddedTokenMatcher matcher({left, right});
  EXPECT_THAT(FindAll(matcher, "a \xC2\xA0\t<l> b"), ElementsAre("1:1-8"));
  EXPECT_THAT(FindAll(matcher, "a <r> \n b"), ElementsAre("2:2-8"));
  EXPECT_THAT(FindAll(matcher, "<r>  <l>"), ElementsAre("2:0-5", "1:5-8"));  // the first takes the space between
  EXPECT_THAT(FindAll(matcher, "<l>"), ElementsAre("1:0-3"));
}

// A white-space token is also matched when the token before it already included that white space; the search continues
// after it, as in huggingface/tokenizers.
TEST(AddedTokens, WhiteSpaceTakenTwice) {
  AddedToken right = Make(2, "<r>");
  right.rstrip = true;
  const AddedTokenMatcher matcher({right, Make(3, "  ")});
  EXPECT_THAT(FindAll(matcher, "<r>     x"), ElementsAre("2:0-8", "3:3-5", "3:5-7"));
}

TEST(AddedTokens, WhiteSpaceThatTakesWhiteSpaceIsLinear) {
  AddedToken right = Make(1, "  ");
  right.rstrip = true;
  const AddedTokenMatcher matcher({right});
  const std::string text(1 << 21, ' ');  // scanning the run for each match would take 10^12 steps
  AddedTokenMatcher::Finder finder(matcher, text, true);
  size_t matches = 0;
  while (const auto m = finder.Next()) {
    ASSERT_EQ(m->end, text.size());
    ++matches;
  }
  EXPECT_EQ(matches, text.size() / 2);
}

TEST(AddedTokens, SameContentTwice) {
  const AddedTokenMatcher matcher({Make(5, "x"), Make(4, "x"), Make(3, "")});
  EXPECT_THAT(FindAll(matcher, "ax"), ElementsAre("5:1-2"));
}

}  // namespace
}  // namespace stablelm
