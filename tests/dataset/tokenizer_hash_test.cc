// The hash of a tokenizer: the same for copies, another for any change that changes ids.
#include "dataset/tokenizer_hash.h"

#include <gtest/gtest.h>

#include "../prompt/prompt_testing.h"

namespace stablelm {
namespace {

TEST(TokenizerHash, IsTheSameForTheSameTokenizer) {
  EXPECT_EQ(TokenizerHash(TunedTokenizer()), TokenizerHash(TunedTokenizer()));
  EXPECT_EQ(TokenizerHash(TunedTokenizer()).size(), 64U);
}

TEST(TokenizerHash, SeesSpellingsNormalizationAndEveryMerge) {
  const std::string hash = TokenizerHash(TunedTokenizer());
  EXPECT_NE(TokenizerHash(BaseTokenizer()), hash);
  nlohmann::json json = SmallTokenizerJson();
  json["normalizer"] = nullptr;
  EXPECT_NE(TokenizerHash(TokenizerOf(json)), hash);
  const size_t merges = SmallTokenizerJson()["model"]["merges"].size();
  for (size_t i = 0; i < merges; i += 7) {
    json = SmallTokenizerJson();
    json["model"]["merges"].erase(i);
    EXPECT_NE(TokenizerHash(TokenizerOf(json)), hash) << i;
  }
}

}  // namespace
}  // namespace stablelm
