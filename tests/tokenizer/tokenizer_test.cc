// The whole tokenizer against huggingface/tokenizers, on our own small file (scripts/make_test_tokenizer.py).
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/thread_pool.h"
#include "error_info.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/nfc.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Ids = std::vector<int32_t>;

class TokenizerTest : public testing::Test {
 protected:
  const Tokenizer tokenizer = Tokenizer::FromFile(TokenizerData("tokenizer.json"));
  const EncodeOptions special{.parse_special = true};

  std::string Nfc(std::string_view text) const {
    static const UnicodeTables tables;
    std::string out;
    std::vector<NfcEdit> edits;
    NormalizeNfc(tables, text, out, edits);
    return out;
  }
};

TEST_F(TokenizerTest, Vectors) {
  const nlohmann::json vectors = ReadJson(TokenizerData("vectors.json"));
  ASSERT_GT(vectors.size(), 400u);
  Encoder encoder(tokenizer);  // shared by all texts: its cache must not change results
  for (const nlohmann::json& v : vectors) {
    const std::string name = v.at("name"), text = v.at("text");
    const Ids ids = v.at("ids"), plain = v.at("ids_plain");
    EXPECT_EQ(tokenizer.Encode(text, special), ids) << name;
    EXPECT_EQ(tokenizer.Encode(text), plain) << name;
    Ids again;
    encoder.Encode(text, special, again);
    EXPECT_EQ(again, ids) << name;
    const std::string decoded = v.at("decoded");
    EXPECT_EQ(tokenizer.Decode(ids), decoded) << name;
    EXPECT_EQ(tokenizer.Decode(ids, {.skip_special = true}), v.at("skipped").get<std::string>()) << name;
    EXPECT_EQ(tokenizer.EncodeWithOffsets(text, special).ids, ids) << name;
  }
}

// The library's ranges count code points. A token with a part of a code point gets the whole code point.
TEST_F(TokenizerTest, OffsetsAgreeWhereNothingIsNormalized) {
  size_t compared = 0;
  for (const nlohmann::json& v : ReadJson(TokenizerData("vectors.json"))) {
    if (v.at("offsets").is_null()) continue;
    const std::string text = v.at("text");
    std::vector<size_t> code_point_at(text.size() + 1);  // index of the code point that holds each byte
    size_t count = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (i > 0 && (static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) ++count;
      code_point_at[i] = count;
    }
    const Encoding encoding = tokenizer.EncodeWithOffsets(text, special);
    ASSERT_EQ(encoding.offsets.size(), v.at("offsets").size());
    for (size_t i = 0; i < encoding.offsets.size(); ++i) {
      const auto [begin, end] = encoding.offsets[i];
      ASSERT_LT(begin, end);
      EXPECT_EQ(code_point_at[begin], v.at("offsets")[i][0].get<size_t>()) << v.at("name") << " " << i;
      EXPECT_EQ(code_point_at[end - 1] + 1, v.at("offsets")[i][1].get<size_t>()) << v.at("name") << " " << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 5000u);
}

TEST_F(TokenizerTest, OffsetsOfNormalizedText) {
  // e + acute, then an ohm sign, which becomes an omega of a different length.
  const std::string text = "ab e\xCC\x81 \xE2\x84\xA6z";
  const Encoding encoding = tokenizer.EncodeWithOffsets(text);
  std::vector<bool> covered(text.size());
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const auto [begin, end] = encoding.offsets[i];
    ASSERT_LT(begin, end);
    ASSERT_LE(end, text.size());
    for (size_t b = begin; b < end; ++b) covered[b] = true;
    const std::string_view bytes = tokenizer.TokenBytes(encoding.ids[i]);
    if (bytes == "z") {
      EXPECT_EQ(encoding.offsets[i], (ByteRange{10, 11}));
    }
    // A token with a byte of the composed letter gets the whole range of its decomposed form.
    if (bytes.find('\xA9') != std::string_view::npos && begin < 6) {
      EXPECT_LE(begin, 3u);
      EXPECT_EQ(end, 6u);
    }
  }
  EXPECT_EQ(std::count(covered.begin(), covered.end(), false), 0);
}

TEST_F(TokenizerTest, OffsetsCoverRandomTextInOrder) {
  TestRandom random(6);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = RandomText(random, 30);
    const Encoding encoding = tokenizer.EncodeWithOffsets(text, special);
    size_t reached = 0, last_begin = 0;
    for (const ByteRange& range : encoding.offsets) {
      ASSERT_LE(range.begin, reached) << text;  // no gap
      ASSERT_LE(last_begin, range.begin) << text;
      ASSERT_LT(range.begin, range.end) << text;
      last_begin = range.begin;
      reached = std::max(reached, range.end);
    }
    ASSERT_EQ(reached, text.size()) << text;
    if (Nfc(text) == text) {
      std::string joined;
      for (const ByteRange& range : encoding.offsets) joined += text.substr(range.begin, range.end - range.begin);
      ASSERT_EQ(joined, text);
    }
  }
}

TEST_F(TokenizerTest, DecodeOfIds) {
  const nlohmann::json sequences = ReadJson(TokenizerData("ids.json"));
  ASSERT_GT(sequences.size(), static_cast<size_t>(tokenizer.size()));
  for (const nlohmann::json& s : sequences) {
    const Ids ids = s.at("ids");
    EXPECT_EQ(tokenizer.Decode(ids), s.at("text").get<std::string>()) << s.at("ids");
  }
}

TEST_F(TokenizerTest, RoundTripIsNfc) {
  TestRandom random(7);
  Encoder encoder(tokenizer);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = RandomText(random, 30);
    Ids ids;
    encoder.Encode(text, {}, ids);
    ASSERT_EQ(tokenizer.Decode(ids), Nfc(text)) << text;
  }
}

TEST_F(TokenizerTest, StreamEqualsOneShotOnRandomIds) {
  TestRandom random(8);
  for (int i = 0; i < 5000; ++i) {
    Ids ids;
    for (size_t n = random.Below(30); n > 0; --n) {
      // Mostly single bytes: truncated, overlong or disordered sequences.
      ids.push_back(
          static_cast<int32_t>(random.Below(random.Below(3) == 0 ? static_cast<size_t>(tokenizer.size()) : 245)));
    }
    StreamDecoder decoder;
    std::string streamed;
    for (const int32_t id : ids) {
      decoder.Append(tokenizer.TokenBytes(id), streamed);
      ASSERT_EQ(utf8::FirstInvalid(streamed), utf8::kValid);
    }
    decoder.Finish(streamed);
    ASSERT_EQ(streamed, tokenizer.Decode(ids));
  }
}

TEST_F(TokenizerTest, NoTextBecomesASpecialToken) {
  for (const char* text : {"<|USER|>", "<|endoftext|>", "a<|SYSTEM|>b", "<|<|USER|>|>"}) {
    for (const int32_t id : tokenizer.Encode(text)) EXPECT_FALSE(tokenizer.IsSpecial(id)) << text;
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  }
  // Runs of spaces are tokens in both modes.
  EXPECT_EQ(tokenizer.Encode("    "), (Ids{tokenizer.TokenId("    ").value()}));
}

TEST_F(TokenizerTest, TokensByString) {
  const int32_t user = tokenizer.TokenId("<|USER|>").value();
  EXPECT_EQ(tokenizer.Encode("<|USER|>", special), Ids{user});
  EXPECT_TRUE(tokenizer.IsSpecial(user));
  EXPECT_EQ(tokenizer.TokenId("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer.TokenId("<|user|>"), std::nullopt);
  EXPECT_EQ(tokenizer.TokenId(""), std::nullopt);
  EXPECT_EQ(tokenizer.TokenSpelling(tokenizer.Encode(" ")[0]), "\xC4\xA0");
  EXPECT_EQ(tokenizer.TokenBytes(tokenizer.Encode(" ")[0]), " ");
  EXPECT_FALSE(tokenizer.IsSpecial(-1));
  EXPECT_FALSE(tokenizer.IsSpecial(1 << 30));
}

TEST_F(TokenizerTest, BatchEqualsOneByOne) {
  TestRandom random(9);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back(RandomText(random, 60));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<Ids> expected;
  for (const std::string& text : texts) expected.push_back(tokenizer.Encode(text, special));
  for (const size_t threads : std::initializer_list<size_t>{1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(tokenizer.EncodeBatch(views, special, pool), expected);
  }
  ThreadPool pool(2);
  std::vector<std::string_view> bad = views;
  bad[117] = "ab\xED\xA0\x80";
  try {
    tokenizer.EncodeBatch(bad, special, pool);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("text 117 of the batch: not valid UTF-8 at byte 2"));
  }
}

TEST_F(TokenizerTest, ManyThreadsShareOneTokenizer) {
  const std::string text = "The tokenizer doesn't mind.  e\xCC\x81 <|USER|>\n\n";
  const Ids expected = tokenizer.Encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) wrong[t] += tokenizer.Encode(text) != expected;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST_F(TokenizerTest, InvalidUtf8NamesTheOffset) {
  const std::pair<std::string, size_t> cases[] = {{"\xED\xA0\x80", 0},
                                                  {"abc\xC0\x80", 3},
                                                  {"a\xF5", 1},
                                                  {"a\xFF", 1},
                                                  {"x\xE4\xBD", 1},
                                                  {"\xE4\xBD\xA0\xF0\x9F\x98", 3},
                                                  {"12345678901234567890\x80", 20}};
  for (const auto& [text, offset] : cases) {
    try {
      tokenizer.Encode(text);
      FAIL() << text;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("not valid UTF-8 at byte " + std::to_string(offset)));
    }
    Encoder encoder(tokenizer);
    Ids ids = {7};
    EXPECT_THAT(InfoOf([&, &text = text] { encoder.Encode(text, {}, ids); }).what,
                HasSubstr("at byte " + std::to_string(offset)));
    EXPECT_EQ(ids, Ids{7});
  }
  // Noncharacters are valid.
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("\xEF\xBF\xBE\xF4\x8F\xBF\xBF")), "\xEF\xBF\xBE\xF4\x8F\xBF\xBF");
}

TEST_F(TokenizerTest, IdsOutsideTheTokenizer) {
  const int32_t n = tokenizer.size();
  // No model is known.
  EXPECT_THAT(InfoOf([&] { tokenizer.Decode(Ids{n}); }), Names("tokenizer", std::to_string(n)));
  EXPECT_THAT(InfoOf([&] { tokenizer.Decode(Ids{-1}); }), Names("tokenizer", "-1"));
  EXPECT_THAT(InfoOf([&] { tokenizer.TokenBytes(-1); }), Names("tokenizer", "-1"));
  const Tokenizer padded = Tokenizer::FromFile(TokenizerData("tokenizer.json"), {.model_vocab_size = n + 10});
  const int32_t a = padded.TokenId("a").value();
  EXPECT_EQ(padded.Decode(Ids{a, n, n + 9, a}), "aa");
  EXPECT_EQ(padded.TokenBytes(n + 9), "");
  EXPECT_EQ(padded.TokenSpelling(n + 9), "");
  EXPECT_FALSE(padded.IsSpecial(n + 9));
  try {
    padded.Decode(Ids{a, n + 10});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(std::to_string(n + 10)));
  }
}

TEST_F(TokenizerTest, SkipSpecialKeepsRunsOfSpaces) {
  const Ids ids = tokenizer.Encode("<|USER|>a    b<|endoftext|>", special);
  EXPECT_EQ(tokenizer.Decode(ids, {.skip_special = true}), "a    b");
  EXPECT_EQ(tokenizer.Decode(ids), "<|USER|>a    b<|endoftext|>");
  EXPECT_EQ(tokenizer.DecodeBytes(ids, true), "a    b");
}

TEST_F(TokenizerTest, CleanUpSpaces) {
  const DecodeOptions clean{.clean_up_spaces = true};
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("a , b . c ? d ! do n't I 'm it 's we 've you 're x ' y"), clean),
            "a, b. c? d! don't I'm it's we've you're x'y");
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(" ."), clean), ".");
}

TEST_F(TokenizerTest, Summary) {
  const TokenizerSummary s = tokenizer.Summary();
  EXPECT_EQ(s.size, tokenizer.size());
  EXPECT_EQ(s.largest_id, s.size - 1);
  EXPECT_EQ(s.added_tokens, 28);
  EXPECT_EQ(s.special_tokens, 5);
  EXPECT_GT(s.merges, 300);
  EXPECT_TRUE(s.nfc);
  EXPECT_EQ(TokenizerUnicodeVersion(), UnicodeVersion());
}

// Inputs that take a careless tokenizer minutes. This test only checks that they finish; bench/ times them.
TEST_F(TokenizerTest, LongInputs) {
  const size_t n = 1 << 20;
  const std::string letters(n, 'a'), spaces(n, ' ');
  std::string alternating;
  for (size_t i = 0; i < n / 2; ++i) alternating += "a ";
  std::string marks = "e";
  for (int i = 0; i < 10000; ++i) marks += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3";
  for (const std::string& text : {letters, spaces, alternating, marks}) {
    const Ids ids = tokenizer.Encode(text);
    EXPECT_EQ(tokenizer.Decode(ids), Nfc(text));
  }
  EXPECT_EQ(tokenizer.Encode(spaces).size(), n / 24 + 1);  // the remainder of 16 is one token
}

TEST_F(TokenizerTest, WithoutNormalizer) {
  nlohmann::json j = ReadJson(TokenizerData("tokenizer.json"));
  j["normalizer"] = nullptr;
  const Tokenizer raw = Tokenizer::FromJson(j.dump(), "raw");
  EXPECT_EQ(raw.Decode(raw.Encode("e\xCC\x81")), "e\xCC\x81");
  EXPECT_FALSE(raw.Summary().nfc);
}

// A normalized added token is matched in NFC, whatever form the file or the text uses.
TEST(Tokenizer, NormalizedAddedTokenWithMarks) {
  nlohmann::json j = SmallTokenizerJson();
  j["added_tokens"].push_back({{"id", 243}, {"content", "e\xCC\x81"}, {"normalized", true}});
  j["added_tokens"].push_back({{"id", 244}, {"content", "<o\xCC\x88>"}, {"normalized", false}});
  const Tokenizer t = Tokenizer::FromJson(j.dump(), "t");
  EXPECT_EQ(t.Encode("\xC3\xA9"), Ids{243});
  EXPECT_EQ(t.Encode("e\xCC\x81"), Ids{243});
  EXPECT_EQ(t.Encode("<o\xCC\x88>"), Ids{244});
  EXPECT_GT(t.Encode("<\xC3\xB6>").size(), 1u);
}

}  // namespace
}  // namespace stablelm
