// Tests with StableLM's tokenizer.json, which is not in this repository. STABLELM_SHARED names the folder that contains
// it as tokenizer/tokenizer.json.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/sha256.h"
#include "error_info.h"
#include "tokenizer/nfc.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/test_support.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

using Ids = std::vector<int32_t>;
constexpr int64_t kModelVocabulary = 50432;  // rows of the published models' embedding

class RealTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("STABLELM_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "STABLELM_SHARED is not set: StableLM's tokenizer.json is needed";
    tokenizer.emplace(Tokenizer::FromFile(std::filesystem::path(shared) / "tokenizer" / "tokenizer.json",
                                          {.model_vocab_size = kModelVocabulary}));
  }
  std::optional<Tokenizer> tokenizer;
};

std::string NfcOf(std::string_view text) {
  static const UnicodeTables tables;
  std::string out;
  std::vector<NfcEdit> edits;
  NormalizeNfc(tables, text, out, edits);
  return out;
}

TEST_F(RealTokenizer, Vectors) {
  const nlohmann::json vectors = ReadJson(TokenizerData("stablelm_vectors.json"));
  ASSERT_EQ(vectors.size(), 83u);
  Encoder encoder(*tokenizer);
  for (const nlohmann::json& v : vectors) {
    const std::string name = v.at("name"), text = v.at("text");
    const Ids ids = v.at("ids");
    const Ids plain = v.at("ids_plain").is_null() ? ids : v.at("ids_plain").get<Ids>();
    EXPECT_EQ(tokenizer->Encode(text, {.parse_special = true}), ids) << name;
    EXPECT_EQ(tokenizer->Encode(text), plain) << name;
    EXPECT_EQ(tokenizer->EncodeWithOffsets(text).ids, plain) << name;
    Ids again;
    encoder.Encode(text, {}, again);
    EXPECT_EQ(again, plain) << name;
    EXPECT_EQ(v.at("decode_equals_nfc").get<bool>(), true) << name;
    EXPECT_EQ(tokenizer->Decode(ids), NfcOf(text)) << name;
    EXPECT_EQ(tokenizer->Decode(plain), NfcOf(text)) << name;
  }
}

// The text with which llama.cpp's converter identifies tokenizers, and its hash for GPT-NeoX.
TEST_F(RealTokenizer, FingerprintOfTheCheckText) {
  const std::string text =
      "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) "
      "✅ "
      "🦙🦙 3 33 333 3333 33333 "
      "333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= нещо на "
      "Български "
      "''''''```````\"\"\"\"......!!!!!!?\?\?\?\?\? I've been 'told he's there, 'RE you sure? 'M not sure I'll make "
      "it, 'D "
      "you like some tea? We'Ve a'lL";
  std::string list = "[";
  for (const int32_t id : tokenizer->Encode(text)) list += (list.size() > 1 ? ", " : "") + std::to_string(id);
  EXPECT_EQ(Sha256Hex(list + "]"), "b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166");
}

TEST_F(RealTokenizer, Contents) {
  const TokenizerSummary s = tokenizer->Summary();
  EXPECT_EQ(s.size, 50280);
  EXPECT_EQ(s.merges, 50009);
  EXPECT_EQ(s.added_tokens, 28);
  EXPECT_EQ(s.special_tokens, 5);
  EXPECT_EQ(s.largest_id, 50279);
  EXPECT_EQ(tokenizer->TokenId("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer->TokenId("<|padding|>"), 1);
  EXPECT_EQ(tokenizer->TokenId("<|SYSTEM|>"), 50277);
  EXPECT_EQ(tokenizer->TokenId("<|USER|>"), 50278);
  EXPECT_EQ(tokenizer->TokenId("<|ASSISTANT|>"), 50279);
  EXPECT_TRUE(tokenizer->warnings().empty());
}

TEST_F(RealTokenizer, EveryIdDecodes) {
  size_t total = 0;
  for (int32_t id = 0; id < kModelVocabulary; ++id) {
    const std::string_view bytes = tokenizer->TokenBytes(id);
    EXPECT_EQ(bytes.empty(), id >= 50280) << id;
    EXPECT_EQ(tokenizer->Decode(Ids{id}), utf8::ReplaceInvalid(bytes)) << id;
    EXPECT_EQ(tokenizer->DecodeBytes(Ids{id}), bytes) << id;
    total += bytes.size();
  }
  EXPECT_GT(total, 300000u);
  const int32_t outside = static_cast<int32_t>(kModelVocabulary);
  EXPECT_THAT(InfoOf([&] { tokenizer->Decode(Ids{outside}); }), Names("tokenizer", std::to_string(outside)));
}

TEST_F(RealTokenizer, RoundTripAndStreaming) {
  TestRandom random(10);
  Encoder encoder(*tokenizer);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = RandomText(random, 40);
    Ids ids;
    encoder.Encode(text, {}, ids);
    ASSERT_EQ(tokenizer->Decode(ids), NfcOf(text)) << text;
    for (int32_t& id : ids) {
      if (random.Below(4) == 0) id = static_cast<int32_t>(random.Below(kModelVocabulary));
    }
    StreamDecoder decoder;
    std::string streamed;
    for (const int32_t id : ids) decoder.Append(tokenizer->TokenBytes(id), streamed);
    decoder.Finish(streamed);
    ASSERT_EQ(streamed, tokenizer->Decode(ids));
  }
}

}  // namespace
}  // namespace stablelm
