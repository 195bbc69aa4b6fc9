// Splits by the names of files, and the numbers of shards.
#include "dataset/split_names.h"

#include <gtest/gtest.h>

namespace stablelm {
namespace {

TEST(SplitNames, ExactBeforeShardNumbers) {
  EXPECT_EQ(MatchSplit("data/train-00000-of-00007-0123abcd.parquet", "train"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("data/train_sft-00000-of-00001.parquet", "train"), SplitMatch::kOther);
  EXPECT_EQ(MatchSplit("data/train_sft-00000-of-00001.parquet", "train_sft"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("data/valid-00000-of-00001.parquet", "validation"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("data/part-00000-of-00002.parquet", "train"), SplitMatch::kUntold);
  EXPECT_EQ(MatchSplit("test/part-00000-of-00002.parquet", "train"), SplitMatch::kOther);
}

TEST(SplitNames, ByWordsOfTheNameThenOfItsFolders) {
  EXPECT_EQ(MatchSplit("harmless-base/train.jsonl.gz", "train"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("Train.JSONL", "train"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("my_dev_set.json", "validation"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("my_dev_set.json", "train"), SplitMatch::kOther);
  EXPECT_EQ(MatchSplit("test/train.json", "train"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("default/train/0000.parquet", "train"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("default/train/0000.parquet", "test"), SplitMatch::kOther);
  EXPECT_EQ(MatchSplit("latest/trained.json", "train"), SplitMatch::kUntold);
  EXPECT_EQ(MatchSplit("harmless-base/a.json", "harmless-base"), SplitMatch::kWanted);
  EXPECT_EQ(MatchSplit("a.test.json", "test"), SplitMatch::kUntold);  // extensions are no words
}

TEST(SplitNames, NumbersOfShards) {
  const ShardName shard = ParseShardName("data/train-00002-of-00007-ab12.parquet").value();
  EXPECT_EQ(shard.base, "data/train");
  EXPECT_EQ(shard.index, 2U);
  EXPECT_EQ(shard.count, 7U);
  for (const char* none : {"train.parquet", "best-of-3.json", "a-5-of-b.json", "a-7-of-7.json", "x/a-0-of-1/b.json",
                           "-of-", "a-99999999999999999999-of-99999999999999999999.json", "a-0-of-1x.json"}) {
    EXPECT_FALSE(ParseShardName(none)) << none;
  }
}

}  // namespace
}  // namespace stablelm
