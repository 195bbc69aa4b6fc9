// Which tokenizer.json files are accepted and which are refused; errors name the field.
#include "tokenizer/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "error_info.h"
#include "temp_folder.h"
#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  try {
    const Tokenizer tokenizer = Tokenizer::FromJson(text, "t.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}
std::string ErrorOf(const json& j) { return ErrorOf(j.dump()); }

// The error for the small file with one changed field.
std::string ErrorWith(const std::string& pointer, const json& value) {
  json j = SmallTokenizerJson({{"a", "b"}});
  j[json::json_pointer(pointer)] = value;
  return ErrorOf(j);
}

TEST(TokenizerJson, AcceptsTheSmallFile) { EXPECT_EQ(ErrorOf(SmallTokenizerJson({{"a", "b"}})), "accepted"); }

TEST(TokenizerJson, NotJson) {
  EXPECT_THAT(ErrorOf(std::string()), HasSubstr("t.json: the file is empty"));
  EXPECT_THAT(ErrorOf(std::string("{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(std::string("{\"model\": \"\xFF\"}")), HasSubstr("not valid UTF-8 at line 1, column 12"));
  EXPECT_THAT(ErrorOf(std::string("{\"model\": \"\\ud800\"}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("nested too deeply"));
  EXPECT_THAT(ErrorOf(std::string("[1, 2]")), AllOf(HasSubstr("an array"), HasSubstr("an object")));
  const std::string whole = SmallTokenizerJson().dump();
  for (const size_t cut : {size_t{1}, size_t{10}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_THAT(ErrorOf(whole.substr(0, cut)), HasSubstr("not valid JSON"));
  }
}

TEST(TokenizerJson, ByteOrderMarkIsSkipped) {
  EXPECT_EQ(ErrorOf("\xEF\xBB\xBF" + SmallTokenizerJson({{"a", "b"}}).dump()), "accepted");
}

TEST(TokenizerJson, NumbersThatJsonDoesNotHaveAreNamed) {
  for (const std::string number : {"NaN", "-Infinity"}) {
    EXPECT_THAT(ErrorOf("{\"model\": " + number + "}"), AllOf(HasSubstr("NaN, Infinity"), HasSubstr("hint: ")));
  }
}

TEST(TokenizerJson, LfsPointerIsNamed) {
  EXPECT_THAT(ErrorOf(std::string("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
              HasSubstr("Git LFS pointer"));
}

TEST(TokenizerJson, MissingFileAndFolder) {
  const TempFolder folder;
  const auto none = folder.path() / "none.json";
  EXPECT_THAT(InfoOf([&] { Tokenizer::FromFile(none); }), Names(none.string()));
  EXPECT_THAT(InfoOf([&] { Tokenizer::FromFile(folder.path()); }), Names(folder.path().string(), "a folder"));
}

TEST(TokenizerJson, MergesAsPairsGiveTheSame) {
  json j = ReadJson(TokenizerData("tokenizer.json"));
  json strings = json::array(), pairs = json::array();
  for (const json& m : j["model"]["merges"]) {
    std::string left, right;
    if (m.is_string()) {
      const std::string line = m;
      left = line.substr(0, line.find(' '));
      right = line.substr(line.find(' ') + 1);
    } else {
      left = m[0];
      right = m[1];
    }
    strings.push_back(left + " " + right);
    pairs.push_back({left, right});
  }
  ASSERT_GT(strings.size(), 300u);
  j["model"]["merges"] = strings;
  const Tokenizer a = Tokenizer::FromJson(j.dump(), "strings");
  j["model"]["merges"] = pairs;
  const Tokenizer b = Tokenizer::FromJson(j.dump(-1, ' ', true), "pairs, escaped");
  TestRandom random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = RandomText(random, 40);
    ASSERT_EQ(a.Encode(text, {.parse_special = true}), b.Encode(text, {.parse_special = true})) << text;
  }
}

TEST(TokenizerJson, EscapesInKeys) {
  // The quote, the backslash and U+0120 are escaped in the file; a surrogate pair is one code point.
  json j = SmallTokenizerJson({{"\"", "\\"}, {"\xC4\xA0", "a"}});
  j["added_tokens"].push_back({{"id", 245}, {"content", "\xF0\x9F\x98\x80"}});
  const std::string text = j.dump(-1, ' ', true);
  ASSERT_THAT(text, AllOf(HasSubstr("\\u0120"), HasSubstr("\\ud83d\\ude00")));
  const Tokenizer t = Tokenizer::FromJson(text, "t.json");
  EXPECT_EQ(t.TokenId("\"\\"), 243);
  EXPECT_EQ(t.Encode("\"\\"), (std::vector<int32_t>{243}));
  EXPECT_EQ(t.Encode(" a"), (std::vector<int32_t>{244}));
  EXPECT_EQ(t.Encode("\xF0\x9F\x98\x80"), (std::vector<int32_t>{245}));
}

TEST(TokenizerJson, Versions) {
  EXPECT_THAT(ErrorWith("/version", "2.0"), HasSubstr("version"));
  EXPECT_EQ(ErrorWith("/version", nullptr), "accepted");
}

TEST(TokenizerJson, Normalizers) {
  EXPECT_EQ(ErrorWith("/normalizer", nullptr), "accepted");
  EXPECT_EQ(ErrorWith("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}}), "accepted");
  EXPECT_EQ(ErrorWith("/normalizer", {{"type", "Sequence"}, {"normalizers", json::array()}}), "accepted");
  EXPECT_THAT(ErrorWith("/normalizer", {{"type", "NFKC"}}), HasSubstr("normalizer: not supported: found \"NFKC\""));
  EXPECT_THAT(ErrorWith("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}}),
              HasSubstr("Lowercase"));
  EXPECT_THAT(ErrorWith("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "NFC"}}}}}),
              HasSubstr("2 parts"));
  EXPECT_THAT(ErrorWith("/normalizer", "NFC"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorWith("/normalizer", json::object()), HasSubstr("has no \"type\""));
}

TEST(TokenizerJson, PreTokenizersAndDecoders) {
  EXPECT_THAT(ErrorWith("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer"));
  EXPECT_THAT(ErrorWith("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "x"}}}}), HasSubstr("\"Split\""));
  EXPECT_THAT(ErrorWith("/pre_tokenizer", {{"type", "Whitespace"}}), HasSubstr("\"Whitespace\""));
  EXPECT_THAT(ErrorWith("/pre_tokenizer/add_prefix_space", true), HasSubstr("add_prefix_space"));
  EXPECT_THAT(ErrorWith("/pre_tokenizer/use_regex", false), HasSubstr("use_regex"));
  EXPECT_THAT(ErrorWith("/pre_tokenizer/use_regex", "yes"), HasSubstr("true or false"));
  EXPECT_THAT(ErrorWith("/decoder", {{"type", "WordPiece"}}), HasSubstr("\"WordPiece\""));
  EXPECT_THAT(ErrorWith("/decoder", nullptr), HasSubstr("decoder"));
}

TEST(TokenizerJson, PostProcessors) {
  EXPECT_EQ(ErrorWith("/post_processor", nullptr), "accepted");
  const json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json token = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  EXPECT_EQ(ErrorWith("/post_processor", {{"type", "TemplateProcessing"}, {"single", {sequence}}}), "accepted");
  EXPECT_THAT(ErrorWith("/post_processor", {{"type", "TemplateProcessing"}, {"single", {token, sequence}}}),
              HasSubstr("adds tokens"));
  EXPECT_THAT(ErrorWith("/post_processor", {{"type", "BertProcessing"}}), HasSubstr("BertProcessing"));
}

TEST(TokenizerJson, ModelOptions) {
  EXPECT_THAT(ErrorWith("/model/type", "WordPiece"), HasSubstr("\"WordPiece\""));
  EXPECT_THAT(ErrorWith("/model/type", "Unigram"), HasSubstr("\"Unigram\""));
  EXPECT_THAT(ErrorWith("/model/byte_fallback", true), HasSubstr("byte_fallback"));
  EXPECT_THAT(ErrorWith("/model/ignore_merges", true), HasSubstr("ignore_merges"));
  EXPECT_THAT(ErrorWith("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(ErrorWith("/model/continuing_subword_prefix", "##"), HasSubstr("continuing_subword_prefix"));
  EXPECT_EQ(ErrorWith("/model/continuing_subword_prefix", ""), "accepted");
  EXPECT_EQ(ErrorWith("/model/unk_token", "a"), "accepted");
  json j = SmallTokenizerJson();
  j["model"]["unk_token"] = "a";
  j["model"]["fuse_unk"] = true;
  EXPECT_THAT(ErrorOf(j), HasSubstr("fuse_unk"));
  EXPECT_THAT(ErrorWith("/model", nullptr), HasSubstr("model: missing"));
  EXPECT_THAT(ErrorWith("/model", 7), HasSubstr("a number"));
}

TEST(TokenizerJson, IgnoredOptionsAreWarnedOf) {
  json j = SmallTokenizerJson();
  j["model"]["dropout"] = 0.1;
  j["truncation"] = {{"max_length", 10}};
  j["padding"] = {{"strategy", "BatchLongest"}};
  const Tokenizer t = Tokenizer::FromJson(j.dump(), "t.json");
  EXPECT_THAT(std::vector<std::string>(t.warnings().begin(), t.warnings().end()),
              testing::ElementsAre(HasSubstr("truncation"), HasSubstr("padding"), HasSubstr("dropout")));
}

TEST(TokenizerJson, Ids) {
  EXPECT_THAT(ErrorWith("/model/vocab/ab", 242), HasSubstr("two tokens have the id 242"));
  EXPECT_THAT(ErrorWith("/model/vocab/ab", 244), HasSubstr("leaves a gap: found 244"));
  EXPECT_THAT(ErrorWith("/model/vocab/ab", -1), HasSubstr("found -1"));
  EXPECT_THAT(ErrorWith("/model/vocab/ab", 1e18), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorWith("/model/vocab/ab", 4000000000u), HasSubstr("4000000000"));
  EXPECT_THAT(ErrorWith("/model/vocab/ab", "243"), HasSubstr("a string"));
  EXPECT_THAT(ErrorWith("/model/vocab", json::array()), HasSubstr("an array"));
  EXPECT_THAT(ErrorWith("/model/vocab", json::object()), HasSubstr("no tokens"));
  EXPECT_THAT(ErrorOf(std::string(R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
                                  R"("decoder":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"a":1},"merges":[]}})")),
              HasSubstr("occurs twice"));
}

TEST(TokenizerJson, EveryByteHasAToken) {
  json j = SmallTokenizerJson();
  const int id = j["model"]["vocab"]["!"];
  j["model"]["vocab"].erase("!");
  j["model"]["vocab"]["a!"] = id;
  EXPECT_THAT(ErrorOf(j), HasSubstr("no token for the byte 33"));
}

TEST(TokenizerJson, AddedTokens) {
  const auto with = [](const json& tokens) { return ErrorWith("/added_tokens", tokens); };
  EXPECT_EQ(with({{{"id", 244}, {"content", "<x>"}}}), "accepted");
  EXPECT_EQ(with({{{"id", 243}, {"content", "ab"}}}), "accepted");  // the token's id in the vocabulary
  EXPECT_THAT(with({{{"id", 244}, {"content", "ab"}}}), HasSubstr("occurs twice"));
  EXPECT_THAT(with({{{"id", 243}, {"content", "<x>"}}}), HasSubstr("two tokens have the id 243"));
  EXPECT_THAT(with({{{"id", 245}, {"content", "<x>"}}}), HasSubstr("leaves a gap"));
  EXPECT_THAT(with({{{"id", 244}, {"content", "<x>"}}, {{"id", 244}, {"content", "<x>"}}}), HasSubstr("occurs twice"));
  EXPECT_THAT(with({{{"id", 244}, {"content", "<x>"}}, {{"id", 245}, {"content", "<x>"}}}), HasSubstr("occurs twice"));
  EXPECT_THAT(with({{{"id", 1e15}, {"content", "<x>"}}}), HasSubstr("wrong type"));
  EXPECT_THAT(with({{{"id", int64_t{1} << 40}, {"content", "<x>"}}}), HasSubstr("out of range"));
  EXPECT_THAT(with({{{"content", "<x>"}}}), HasSubstr("no \"content\" or no \"id\""));
  EXPECT_THAT(with({{{"id", 244}, {"content", "<x>"}, {"special", 1}}}), HasSubstr("true or false"));
  EXPECT_THAT(with({{{"id", 244}, {"content", std::string(5000, 'x')}}}), HasSubstr("too long"));
  EXPECT_THAT(with({7}), HasSubstr("an object"));
  EXPECT_THAT(with({{"id", 244}}), HasSubstr("an array"));
}

TEST(TokenizerJson, Merges) {
  const auto with = [](const json& merges) { return ErrorWith("/model/merges", merges); };
  EXPECT_EQ(with(json::array()), "accepted");
  EXPECT_THAT(with({"ab"}), HasSubstr("model.merges[0]: not two tokens"));
  EXPECT_THAT(with({"a b", "a b c"}), HasSubstr("model.merges[1]: not two tokens"));
  EXPECT_THAT(with({" b"}), HasSubstr("empty"));
  EXPECT_THAT(with({"a c"}), HasSubstr("token \"ac\" is not in the vocabulary"));
  EXPECT_THAT(with({"ab zz"}), HasSubstr("token \"zz\" is not in the vocabulary"));
  EXPECT_THAT(with({{"a", "b", "c"}}), HasSubstr("not a pair"));
  EXPECT_THAT(with(json::array({json::array({"a", 1})})), HasSubstr("a number"));
  EXPECT_THAT(with({1}), HasSubstr("a string or a pair"));
  EXPECT_THAT(with("a b"), HasSubstr("an array"));
  EXPECT_THAT(with(nullptr), HasSubstr("model.merges: missing"));
}

TEST(TokenizerJson, VocabularyOfTheModel) {
  const std::string text = SmallTokenizerJson().dump();
  EXPECT_EQ(Tokenizer::FromJson(text, "t", {.model_vocab_size = 300}).model_vocab_size(), 300);
  EXPECT_EQ(Tokenizer::FromJson(text, "t").model_vocab_size(), 243);
  for (const int64_t size : {int64_t{242}, int64_t{-1}, int64_t{1} << 40}) {
    EXPECT_THAT(InfoOf([&] { Tokenizer::FromJson(text, "t", {.model_vocab_size = size}); }),
                Names("t", AllOf(HasSubstr("243 ids"), HasSubstr(" " + std::to_string(size) + " in the model"))));
  }
}

TEST(TokenizerJson, FileOnDisk) {
  const TempFolder folder;
  const auto path = folder.path() / "tokenizer.json";
  std::ofstream(path) << SmallTokenizerJson().dump();
  EXPECT_EQ(Tokenizer::FromFile(path).size(), 243);
  std::ofstream(path) << "{}";
  try {
    Tokenizer::FromFile(path);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(path.string()));
  }
}

}  // namespace
}  // namespace stablelm
