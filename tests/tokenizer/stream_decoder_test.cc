#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

TEST(StreamDecoder, HoldsBackOnlyWhatMayBecomeACharacter) {
  StreamDecoder decoder;
  std::string out;
  decoder.Append("a\xF0\x9F", out);
  EXPECT_EQ(out, "a");
  EXPECT_EQ(decoder.held_back(), 2u);
  decoder.Append("\x98", out);
  EXPECT_EQ(out, "a");
  decoder.Append(
      "\x80"
      "b",
      out);
  EXPECT_EQ(out,
            "a\xF0\x9F\x98\x80"
            "b");
  EXPECT_EQ(decoder.held_back(), 0u);
  decoder.Append("\xE4\xBD", out);
  decoder.Finish(out);
  EXPECT_EQ(out,
            "a\xF0\x9F\x98\x80"
            "b\xEF\xBF\xBD");
  decoder.Append("\xBD", out);  // reset: not a continuation of the finished stream
  EXPECT_EQ(out,
            "a\xF0\x9F\x98\x80"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(StreamDecoder, SecondByteLimits) {
  // Bytes that can no longer become a character are output at once.
  for (const char* bytes : {"\xE0\x80", "\xED\xA0", "\xF0\x80", "\xF4\x90", "\xC0", "\xF5", "\x80"}) {
    StreamDecoder decoder;
    std::string out;
    decoder.Append(bytes, out);
    EXPECT_EQ(decoder.held_back(), 0u) << bytes;
    EXPECT_EQ(out, utf8::ReplaceInvalid(bytes));
  }
  for (const char* bytes : {"\xE0\xA0", "\xED\x9F", "\xF0\x90\x80", "\xF4\x8F\xBF", "\xC2"}) {
    StreamDecoder decoder;
    std::string out;
    decoder.Append(bytes, out);
    EXPECT_EQ(out, "") << bytes;
  }
}

TEST(StreamDecoder, EqualsOneShotOnRandomBytesCutAnywhere) {
  TestRandom random(4);
  const std::string_view interesting = "a\x80\xBF\xC2\xE0\xA0\xED\x9F\xF0\x90\xF4\x8F\xC0\xFF\xE4\xBD";
  for (int i = 0; i < 50000; ++i) {
    std::string bytes, out;
    StreamDecoder decoder;
    for (size_t n = random.Below(8); n > 0; --n) {
      std::string part;
      for (size_t k = random.Below(5); k > 0; --k) part += interesting[random.Below(interesting.size())];
      bytes += part;
      decoder.Append(part, out);
      ASSERT_LE(decoder.held_back(), 3u);
      ASSERT_EQ(utf8::FirstInvalid(out), utf8::kValid);
    }
    decoder.Finish(out);
    ASSERT_EQ(out, utf8::ReplaceInvalid(bytes));
  }
}

}  // namespace
}  // namespace stablelm
