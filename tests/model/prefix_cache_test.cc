#include "model/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace stablelm {
namespace {

ModelConfig Tiny() {
  ModelConfig config;
  config.vocab_size = 8;
  config.hidden_size = 8;
  config.n_layers = 1;
  config.n_heads = 1;
  config.intermediate_size = 8;
  config.max_positions = 1024;
  config.rotary_dims = 2;
  return config;
}

std::vector<int32_t> Counting(int64_t n, int32_t from = 0) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

class PrefixCacheTest : public testing::Test {
 protected:
  // Computes a sequence of these ids and inserts it into the prefix cache.
  KvSequence Remember(const std::vector<int32_t>& ids) {
    KvSequence sequence = prefixes_.Match(ids, static_cast<int64_t>(ids.size()));
    sequence.Append(static_cast<int64_t>(ids.size()) - sequence.length());
    prefixes_.Insert(ids, sequence);
    return sequence;
  }
  KvCache cache_{Tiny(), DType::kF32, 8};
  PrefixCache prefixes_{cache_};
};

TEST_F(PrefixCacheTest, MatchesWholePagesUpToTheLimit) {
  const std::vector<int32_t> ids = Counting(70);
  const KvSequence first = Remember(ids);
  EXPECT_EQ(prefixes_.pages(), 2);  // the third page is not full
  EXPECT_EQ(prefixes_.MatchedPositions(ids, 70), 64);
  EXPECT_EQ(prefixes_.MatchedPositions(ids, 63), 32);
  EXPECT_EQ(prefixes_.MatchedPositions(Counting(31), 31), 0);
  std::vector<int32_t> other = ids;
  other[40] = 7;
  const KvSequence second = prefixes_.Match(other, 70);
  EXPECT_EQ(second.length(), 32);
  EXPECT_EQ(second.pages()[0], first.pages()[0]);
  other[0] = 7;
  EXPECT_EQ(prefixes_.MatchedPositions(other, 70), 0);
}

TEST_F(PrefixCacheTest, KeepsPagesThatItsSequencesLeft) {
  const std::vector<int32_t> ids = Counting(70);
  { const KvSequence sequence = Remember(ids); }
  EXPECT_EQ(cache_.free_pages(), 6);
  EXPECT_EQ(prefixes_.Match(ids, 70).length(), 64);
  EXPECT_EQ(cache_.free_pages(), 6);
}

TEST_F(PrefixCacheTest, ForgetsTheLeastRecentlyUsedAndNothingInUse) {
  { const KvSequence a = Remember(Counting(64, 0)); }
  { const KvSequence b = Remember(Counting(64, 1000)); }
  const KvSequence held = Remember(Counting(64, 2000));
  EXPECT_EQ(cache_.free_pages(), 2);
  EXPECT_EQ(prefixes_.Evictable(), 4);
  EXPECT_EQ(prefixes_.Match(Counting(64, 0), 64).length(), 64);  // now the other one is the least recently used
  EXPECT_TRUE(prefixes_.MakeRoom(3));
  EXPECT_EQ(prefixes_.MatchedPositions(Counting(64, 1000), 64), 32);  // its last page is evicted first
  EXPECT_EQ(prefixes_.MatchedPositions(Counting(64, 0), 64), 64);
  EXPECT_FALSE(prefixes_.MakeRoom(7));
  EXPECT_EQ(cache_.free_pages(), 6);
  EXPECT_EQ(prefixes_.MatchedPositions(Counting(64, 2000), 64), 64);
}

TEST_F(PrefixCacheTest, TwoWhoComputedTheSameShareOnlyTheFirst) {
  const std::vector<int32_t> ids = Counting(64);
  KvSequence a(cache_), b(cache_);
  a.Append(64);
  b.Append(64);
  prefixes_.Insert(ids, a);
  prefixes_.Insert(ids, b);
  EXPECT_EQ(prefixes_.pages(), 2);
  EXPECT_EQ(prefixes_.Match(ids, 64).pages()[1], a.pages()[1]);
  a.Truncate(0);
  b.Truncate(0);
  EXPECT_EQ(cache_.free_pages(), 6);
  EXPECT_TRUE(prefixes_.MakeRoom(8));
  EXPECT_EQ(prefixes_.pages(), 0);
}

}  // namespace
}  // namespace stablelm
