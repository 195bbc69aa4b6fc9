// Summaries of many tokens, and the GGUF keys that store them.
#include "eval/quality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

TEST(Quality, QuantileIsTheNearestRank) {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1.0);  // 100, 99, ..., 1
  EXPECT_EQ(Quantile(values, 0.99), 99);
  EXPECT_EQ(Quantile(values, 1), 100);
  EXPECT_EQ(Quantile(values, 0.001), 1);
  values.resize(50);  // 100, ..., 51: the 50th of 50
  EXPECT_EQ(Quantile(values, 0.99), 100);
  EXPECT_EQ(Quantile(std::vector<double>{7}, 0.99), 7);
}

TEST(Quality, SumsUpTokens) {
  const std::vector<TokenDivergence> tokens = {
      {.kl = 0.5, .source_log_prob = -1, .log_prob = -2, .same_first = true},
      {.kl = 0.25, .source_log_prob = -3, .log_prob = -3, .same_first = false},
      {.kl = 0, .source_log_prob = -2, .log_prob = -2.5, .same_first = true},
      {.kl = 1.25, .source_log_prob = 0, .log_prob = -0.5, .same_first = true},
  };
  const Quality got = SummarizeDivergences(tokens);
  EXPECT_EQ(got.tokens, 4u);
  EXPECT_EQ(got.mean_kl, 0.5);
  EXPECT_EQ(got.p99_kl, 1.25);
  EXPECT_EQ(got.largest_kl, 1.25);
  EXPECT_EQ(got.same_first, 0.75);
  EXPECT_EQ(got.source_perplexity, std::exp(1.5));
  EXPECT_EQ(got.perplexity, std::exp(2.0));
  EXPECT_NEAR(got.PerplexityChange(), std::exp(0.5) - 1, 1e-15);
}

QualityRecord Example() {
  return {.text = "wiki.txt",
          .text_sha256 = std::string(64, 'a'),
          .window = 512,
          .quality = {.tokens = 2044,
                      .mean_kl = 0.0123,
                      .p99_kl = 0.2,
                      .largest_kl = 1.5,
                      .same_first = 0.97,
                      .source_perplexity = 11.5,
                      .perplexity = 11.75}};
}

TEST(Quality, KeysAreReadBack) {
  const TempFolder temp;
  const auto path = temp.path() / "q.gguf";
  GgufMetadata metadata;
  SetQualityKeys({.text = "wiki.txt", .text_sha256 = std::string(64, 'a'), .window = 512, .quality = {}}, metadata);
  GgufWriter writer(path, metadata, {});
  SetQualityKeys(Example(), metadata);
  writer.ReplaceMetadata(metadata);  // the same size
  writer.Commit();
  const GgufFile file(path);
  const auto got = ReadQualityKeys(file.header());
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text, "wiki.txt");
  EXPECT_EQ(got->text_sha256, std::string(64, 'a'));
  EXPECT_EQ(got->window, 512u);
  const Quality want = Example().quality, &have = got->quality;
  EXPECT_EQ(have.tokens, want.tokens);
  for (double Quality::*value : {&Quality::mean_kl, &Quality::p99_kl, &Quality::largest_kl, &Quality::same_first,
                                 &Quality::source_perplexity, &Quality::perplexity}) {
    EXPECT_EQ(have.*value, want.*value);
  }
}

TEST(Quality, KeysAreAllThereOrNone) {
  const TempFolder temp;
  const auto path = temp.path() / "q.gguf";
  GgufWriter(path, {}, {}).Commit();
  EXPECT_FALSE(ReadQualityKeys(GgufFile(path).header()));
  GgufMetadata whole;
  SetQualityKeys(Example(), whole);
  for (const auto& [key, bytes] : whole.entries()) {
    EXPECT_TRUE(key.starts_with(kQualityKeys)) << key;
    GgufMetadata metadata = whole;
    metadata.Remove(key);
    GgufWriter(path, metadata, {}).Commit();
    const GgufFile file(path);
    EXPECT_THAT(InfoOf([&] { ReadQualityKeys(file.header()); }).where, testing::HasSubstr(key));
    metadata.SetArray<int32_t>(key, std::vector<int32_t>{1});
    GgufWriter(path, metadata, {}).Commit();
    const GgufFile other(path);
    EXPECT_THAT(InfoOf([&] { ReadQualityKeys(other.header()); }).where, testing::HasSubstr(key));
  }
}

}  // namespace
}  // namespace stablelm
