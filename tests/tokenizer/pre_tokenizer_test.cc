#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

using testing::ElementsAre;

std::vector<std::string> Split(std::string_view text) {
  static const UnicodeTables tables;
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(tables, text, at);
    EXPECT_GT(end, at);
    pieces.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

TEST(PreTokenizer, Contractions) {
  EXPECT_THAT(Split("don't"), ElementsAre("don", "'t"));
  EXPECT_THAT(Split("'s't're've'm'll'd"), ElementsAre("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"));
  EXPECT_THAT(Split("I'M"), ElementsAre("I", "'", "M"));
  EXPECT_THAT(Split("x'l x'r x'v"), ElementsAre("x", "'", "l", " x", "'", "r", " x", "'", "v"));
  EXPECT_THAT(Split("'"), ElementsAre("'"));
  EXPECT_THAT(Split("''s"), ElementsAre("''", "s"));  // the first apostrophe starts a run of symbols
  EXPECT_THAT(Split(" 'n"), ElementsAre(" '", "n"));
  EXPECT_THAT(Split("?'s"), ElementsAre("?'", "s"));
  EXPECT_THAT(Split("'sing"), ElementsAre("'s", "ing"));
  EXPECT_THAT(Split("it\xE2\x80\x99s"), ElementsAre("it", "\xE2\x80\x99", "s"));  // a curly apostrophe is a symbol
}

TEST(PreTokenizer, OneSpaceBelongsToTheWordBehindIt) {
  EXPECT_THAT(Split("a b"), ElementsAre("a", " b"));
  EXPECT_THAT(Split("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Split("\tx"), ElementsAre("\t", "x"));
  EXPECT_THAT(Split("a \tb"), ElementsAre("a", " ", "\t", "b"));
  EXPECT_THAT(Split("a\t b"), ElementsAre("a", "\t", " b"));
  EXPECT_THAT(Split("\xC2\xA0x"), ElementsAre("\xC2\xA0", "x"));
  EXPECT_THAT(Split(" "), ElementsAre(" "));
  EXPECT_THAT(Split("a "), ElementsAre("a", " "));
  EXPECT_THAT(Split("a  "), ElementsAre("a", "  "));
}

TEST(PreTokenizer, RunsOfWhiteSpaceGiveBackTheirLast) {
  EXPECT_THAT(Split("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(Split("a\n\n\nb"), ElementsAre("a", "\n\n", "\n", "b"));
  EXPECT_THAT(Split("a\n\n"), ElementsAre("a", "\n\n"));
  EXPECT_THAT(Split("a\r\n b"), ElementsAre("a", "\r\n", " b"));
  EXPECT_THAT(Split("\xE3\x80\x80\xE3\x80\x80x"), ElementsAre("\xE3\x80\x80", "\xE3\x80\x80", "x"));
}

TEST(PreTokenizer, ClassesOfLettersNumbersAndTheRest) {
  EXPECT_THAT(Split("ab12,;cd"), ElementsAre("ab", "12", ",;", "cd"));
  EXPECT_THAT(Split(" \xC2\xBD\xE2\x85\xA7 x"), ElementsAre(" \xC2\xBD\xE2\x85\xA7", " x"));  // one half, Roman eight
  EXPECT_THAT(Split("q\xCC\x81"), ElementsAre("q", "\xCC\x81"));                              // a mark is not a letter
  EXPECT_THAT(Split("a\xE2\x80\x8B b"), ElementsAre("a", "\xE2\x80\x8B", " b"));              // zero width space
}

// Reference: the regular expression, alternative by alternative.
size_t SlowPieceEnd(const std::vector<uint8_t>& k, const std::u32string& t, size_t p) {
  const size_t n = t.size();
  for (const char32_t* c : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
    if (t.compare(p, std::char_traits<char32_t>::length(c), c) == 0) return p + std::char_traits<char32_t>::length(c);
  }
  for (const uint8_t wanted : {UnicodeTables::kLetter, UnicodeTables::kNumber, UnicodeTables::kOther}) {
    for (const size_t skip : {size_t{1}, size_t{0}}) {
      if (skip == 1 && t[p] != ' ') continue;
      size_t e = p + skip;
      while (e < n && k[e] == wanted) ++e;
      if (e > p + skip) return e;
    }
  }
  size_t e = p;
  while (e < n && k[e] == UnicodeTables::kSpace) ++e;
  if (e == n) return e;
  return e - p > 1 ? e - 1 : e;
}

TEST(PreTokenizer, RandomTextIsSplitAsTheExpressionSplitsIt) {
  const UnicodeTables tables;
  TestRandom random(2);
  const std::u32string pool = U"  '''stremvld\t\n\r\u00a0\u0301\u00e9Z09\u00bd,.\u3000\u4f60\U0001F600";
  for (int i = 0; i < 100000; ++i) {
    std::u32string wide;
    std::vector<uint8_t> classes;
    std::string text;
    std::vector<size_t> byte_at;
    for (size_t n = random.Below(16); n > 0; --n) {
      wide += pool[random.Below(pool.size())];
      classes.push_back(tables.ClassOf(wide.back()));
      byte_at.push_back(text.size());
      utf8::Append(wide.back(), text);
    }
    byte_at.push_back(text.size());
    for (size_t p = 0; p < wide.size();) {
      const size_t end = SlowPieceEnd(classes, wide, p);
      ASSERT_EQ(PieceEnd(tables, text, byte_at[p]), byte_at[end]) << text << " at " << p;
      p = end;
    }
  }
}

}  // namespace
}  // namespace stablelm
