// Which parts of a Markdown text are code.
#include "dataset/clean/code_ranges.h"

#include <gtest/gtest.h>

#include <string>

namespace stablelm {
namespace {

// The text with its ranges of code in brackets.
std::string Marked(const std::string& text) {
  std::string out;
  size_t at = 0;
  for (const TextRange& range : CodeRanges(text)) {
    out += text.substr(at, range.begin - at) + "[" + text.substr(range.begin, range.end - range.begin) + "]";
    at = range.end;
  }
  return out + text.substr(at);
}

TEST(CodeRanges, FindsFencedBlocks) {
  EXPECT_EQ(Marked("a\n```cpp\nint x;\n```\nb"), "a\n[```cpp\nint x;\n```]\nb");
  EXPECT_EQ(Marked("  ~~~\n```\n~~~~ \nb"), "[  ~~~\n```\n~~~~ ]\nb");
  EXPECT_EQ(Marked("````\n```\n````"), "[````\n```\n````]");
  EXPECT_EQ(Marked("a\n```\nnever closed\n\n`b`"), "a\n[```\nnever closed\n\n`b`]");
  EXPECT_EQ(Marked("```\nx\n```not closed\n"), "[```\nx\n```not closed\n]");
}

TEST(CodeRanges, FindsCodeSpans) {
  EXPECT_EQ(Marked("a `b` c ``d ` e`` f"), "a [`b`] c [``d ` e``] f");
  EXPECT_EQ(Marked("a ` b\n\nc ` d"), "a ` b\n\nc ` d");
  EXPECT_EQ(Marked("one `two\nlines` end"), "one [`two\nlines`] end");
  EXPECT_EQ(Marked("`` a ` b `"), "`` a [` b `]");
  EXPECT_EQ(Marked("a ` b\n```\nx`\n```\n` c"), "a ` b\n[```\nx`\n```]\n` c");
  EXPECT_EQ(Marked("inline ```a``` span"), "inline [```a```] span");
  EXPECT_EQ(Marked("```a``` b"), "[```a```] b");
}

TEST(CodeRanges, LeaveProse) {
  EXPECT_EQ(Marked(""), "");
  EXPECT_EQ(WithoutCode("a `b` c\n```\nd\n```\ne"), "a  c\n\ne");
  EXPECT_EQ(WithoutCode("no code"), "no code");
}

TEST(CodeRanges, AreLinearInTheNumberOfRuns) {
  std::string text;  // every run has another length, then many of one length: no pair is searched twice
  for (int i = 1; i < 700; ++i) text.append(static_cast<size_t>(i), '`').append("a");
  for (int i = 0; i < 100'000; ++i) text += "` ";
  EXPECT_GT(CodeRanges(text).size(), 40'000u);
}

}  // namespace
}  // namespace stablelm
