// Tests what is timed and that a measurement can be stopped, not the speed itself.
#include "tokenizer/tokenizer_speed.h"
#include "test_paths.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

Tokenizer Small() { return Tokenizer::FromFile(TestData("tokenizer/tokenizer.json")); }

TEST(TokenizerSpeed, TimesEveryKindOfWork) {
  const Tokenizer tokenizer = Small();
  int calls = 0;
  const TextSpeed speed =
      MeasureTexts(tokenizer, {.name = "two", .texts = {"one text", "another"}}, 2, 1, [&] { ++calls; });
  EXPECT_EQ(speed.bytes, 15u);
  EXPECT_EQ(speed.tokens, tokenizer.Encode("one text").size() + tokenizer.Encode("another").size());
  EXPECT_GT(speed.encode.median, 0);
  EXPECT_GT(speed.with_offsets.median, 0);
  EXPECT_GT(speed.decode.median, 0);
  ASSERT_EQ(speed.batches.size(), 2u);
  EXPECT_EQ(speed.batches[1].threads, 2u);
  EXPECT_EQ(calls, 5 * 2);  // encode, offsets, decode, two batches; each with one warm-up
}

TEST(TokenizerSpeed, ASampleThatThrowsEndsTheMeasurement) {
  EXPECT_THROW(MeasureLoad([] {}, 1, [] { throw 7; }), int);
}

// Always the same text, so that speeds can be compared.
TEST(TokenizerSpeed, TheTextOfTokensIsRepeatable) {
  const TimedTexts text = TextOfTokens(Small());
  EXPECT_EQ(text.texts, TextOfTokens(Small()).texts);
  EXPECT_GE(text.texts[0].size(), 1000000u);
}

}  // namespace
}  // namespace stablelm
