// Stop ids and stop strings in streamed text.
#include "generate/stop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "error_info.h"
#include "test_paths.h"

namespace stablelm {
namespace {

std::string ErrorOf(const std::vector<std::string>& strings) {
  try {
    StopStrings stops(strings, "line 2: stop");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

struct Streamed {
  std::vector<std::string> pieces;
  std::string text;
  std::optional<size_t> found;
};

Streamed Stream(const std::vector<std::string>& strings, const std::vector<std::string>& parts) {
  StopStrings stops(strings);
  Streamed out;
  for (const std::string& part : parts) {
    std::string piece;
    out.found = stops.Add(part, piece);
    out.pieces.push_back(piece);
    if (out.found) break;
  }
  if (!out.found) {
    out.pieces.emplace_back();
    stops.Finish(out.pieces.back());
  }
  for (const std::string& piece : out.pieces) out.text += piece;
  return out;
}

TEST(StopStrings, HoldBackTheLongestBeginning) {
  const Streamed found = Stream({"STOP"}, {"a S", "T", "O", "x ST", "OP more"});
  EXPECT_THAT(found.pieces, testing::ElementsAre("a ", "", "", "STOx ", ""));
  EXPECT_EQ(found.found, 0u);
  const Streamed open = Stream({"STOP"}, {"a ST"});
  EXPECT_THAT(open.pieces, testing::ElementsAre("a ", "ST"));
  EXPECT_FALSE(open.found);
  // The end of a failed partial match may start another one.
  EXPECT_THAT(Stream({"aab"}, {"a", "a", "a", "b", "c"}).pieces, testing::ElementsAre("", "", "a", ""));
  EXPECT_EQ(Stream({"aabaaac"}, {"aabaaabaaac"}).text, "aaba");  // its beginning of six ends with that of two
}

TEST(StopStrings, AreAsNewAfterFinish) {
  StopStrings stops({"ab"});
  std::string out;
  EXPECT_FALSE(stops.Add("xa", out));
  stops.Finish(out);
  EXPECT_FALSE(stops.Add("b", out));
  EXPECT_EQ(out, "xab");
}

TEST(StopStrings, TheFirstEndWinsThenTheLongest) {
  EXPECT_EQ(Stream({"abc", "b"}, {"abc"}).text, "a");
  EXPECT_EQ(Stream({"abc", "b"}, {"abc"}).found, 1u);
  EXPECT_EQ(Stream({"c", "bc", "abc"}, {"xabcx"}).text, "x");
  EXPECT_EQ(Stream({"c", "bc", "abc"}, {"xabcx"}).found, 2u);
  EXPECT_EQ(Stream({}, {"abc"}).text, "abc");
  EXPECT_EQ(Stream({"a"}, {"a"}).text, "");
}

TEST(StopStrings, AreChecked) {
  EXPECT_EQ(ErrorOf({"a"}), "no error");
  EXPECT_THAT(ErrorOf({"a", ""}), testing::StartsWith("line 2: stop: a stop string is empty"));
  EXPECT_THAT(ErrorOf({"\xC3"}), testing::HasSubstr("not UTF-8"));
  EXPECT_THAT(ErrorOf({std::string(5000, 'a')}), testing::HasSubstr("found 5000 bytes, expected at most 4096"));
  EXPECT_EQ(ErrorOf(std::vector<std::string>(256, "a")), "no error");
  EXPECT_THAT(ErrorOf(std::vector<std::string>(257, "a")), testing::HasSubstr("found 257, expected at most 256"));
}

// Time stays linear in the text when a long partial match fails again and again.
TEST(StopStrings, StayLinear) {
  std::string text(200000, 'a');
  StopStrings stops({std::string(4095, 'a') + "b"});
  std::string out;
  EXPECT_FALSE(stops.Add(text, out));
  EXPECT_EQ(stops.held_back(), 4095u);
  stops.Finish(out);
  EXPECT_EQ(out, text);
}

// However the text is split: the concatenated output is the text before the first match. No byte of a match is ever
// emitted, and no byte is held back that cannot be part of a match.
TEST(StopStrings, AnyCutGivesTheSame) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Philox random(seed);
  int matches = 0;
  for (uint64_t round = 0; round < 3000; ++round) {
    uint64_t next = 0;
    const auto below = [&](int n) { return static_cast<size_t>(n * random.Uniform(round, next++)); };
    const auto word = [&](size_t n) {
      std::string s;
      for (size_t i = 0; i < n; ++i) s += static_cast<char>('a' + below(2));
      return s;
    };
    std::vector<std::string> strings;
    for (size_t i = 1 + below(3); i-- > 0;) strings.push_back(word(1 + below(6)));
    const std::string text = word(below(40));
    // The match that ends first, then the longest.
    std::string want = text;
    bool found = false;
    for (size_t end = 1; end <= text.size() && !found; ++end) {
      for (const std::string& s : strings) {
        if (!text.substr(0, end).ends_with(s)) continue;
        if (!found || end - s.size() < want.size()) want = text.substr(0, end - s.size());
        found = true;
      }
    }
    StopStrings stops(strings);
    std::string out;
    bool ended = false;
    for (size_t at = 0; at < text.size() && !ended;) {
      const size_t n = std::min(1 + below(5), text.size() - at);
      ended = stops.Add(text.substr(at, n), out).has_value();
      at += n;
      ASSERT_TRUE(want.starts_with(out));
      if (!ended) {  // the text held back starts a stop string
        const std::string held = text.substr(out.size(), at - out.size());
        ASSERT_TRUE(held.empty() ||
                    std::any_of(strings.begin(), strings.end(), [&](const auto& s) { return s.starts_with(held); }));
      }
    }
    if (!ended) stops.Finish(out);
    ASSERT_EQ(out, want) << text;
    ASSERT_EQ(ended, found);
    matches += found;
  }
  EXPECT_GT(matches, 1000);
}

class StoppedTextTest : public testing::Test {
 protected:
  const Tokenizer tokenizer_ = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"));
};

TEST_F(StoppedTextTest, AStringOverSeveralTokensEndsTheText) {
  const std::string text = "Hello there, friend. \xF0\x9F\x98\x80 And so on";
  std::vector<int32_t> ids = tokenizer_.Encode(text);
  for (const std::string& stop : {std::string("there, fr"), std::string("o"), std::string("\xF0\x9F\x98\x80"),
                                  std::string("on"), std::string("H")}) {
    SCOPED_TRACE(stop);
    StoppedText stream(tokenizer_, {.ids = {}, .strings = {stop}});
    std::string out;
    size_t taken = 0;
    while (taken < ids.size() && !stream.Cause().Found()) out += stream.Add(ids[taken++]);
    out += stream.Finish();
    EXPECT_EQ(out, text.substr(0, text.find(stop)));
    EXPECT_EQ(stream.Cause().string, stop);
    EXPECT_FALSE(stream.Cause().id);
    // The last token is the one that completes the match.
    const std::string with = tokenizer_.Decode(std::span(ids).first(taken));
    EXPECT_NE(with.find(stop), std::string::npos);
    EXPECT_EQ(tokenizer_.Decode(std::span(ids).first(taken - 1)).find(stop), std::string::npos);
  }
}

TEST_F(StoppedTextTest, AStopIdEndsTheTextAndHasNone) {
  std::vector<int32_t> ids = tokenizer_.Encode("one two ST");
  ids.push_back(0);
  StoppedText stream(tokenizer_, {.ids = {0}, .strings = {"STOP"}});
  std::string out;
  for (const int32_t id : ids) out += stream.Add(id);
  EXPECT_EQ(stream.Cause().id, 0);
  EXPECT_FALSE(stream.Cause().string);
  out += stream.Finish();
  EXPECT_EQ(out, "one two ST");  // the text held back is emitted
}

// A token may end in the middle of a character; after a stop string those bytes are gone too.
TEST_F(StoppedTextTest, NothingComesAfterAStopString) {
  std::optional<int32_t> cut;
  for (int32_t id = 0; id < tokenizer_.size() && !cut; ++id) {
    const std::string_view bytes = tokenizer_.TokenBytes(id);
    if (bytes.size() > 1 && bytes[0] == ' ' && static_cast<unsigned char>(bytes[1]) >= 0xC2 &&
        tokenizer_.Decode(std::vector{id}).ends_with("\uFFFD")) {
      cut = id;
    }
  }
  ASSERT_TRUE(cut);
  StoppedText stream(tokenizer_, {.ids = {}, .strings = {" "}});
  EXPECT_EQ(stream.Add(*cut), "");
  EXPECT_EQ(stream.Cause().string, " ");
  EXPECT_EQ(stream.Finish(), "");
}

TEST_F(StoppedTextTest, ACopyGoesOnByItself) {
  const std::vector<int32_t> ids = tokenizer_.Encode("abcd");
  StoppedText first(tokenizer_, {.ids = {}, .strings = {"abcde"}});
  std::string out;
  for (const int32_t id : ids) out += first.Add(id);
  StoppedText second = first;
  EXPECT_EQ(out + first.Finish(), "abcd");
  for (const int32_t id : tokenizer_.Encode("ef")) {
    if (!second.Cause().Found()) out += second.Add(id);
  }
  EXPECT_EQ(out, "");
  EXPECT_EQ(second.Cause().string, "abcde");
}

TEST_F(StoppedTextTest, WithoutATokenizerOnlyIdsStop) {
  StoppedText stream(std::nullopt, {.ids = {7}, .strings = {}});
  EXPECT_EQ(stream.Add(3), "");
  EXPECT_FALSE(stream.Cause().Found());
  EXPECT_EQ(stream.Add(7), "");
  EXPECT_EQ(stream.Cause().id, 7);
  EXPECT_EQ(stream.Finish(), "");
  EXPECT_THAT(InfoOf([] { StoppedText(std::nullopt, {.ids = {}, .strings = {"x"}}); }), Names("stop"));
}

}  // namespace
}  // namespace stablelm
