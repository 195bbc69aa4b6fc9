// The order of packs and the batches made of them.
#include "train/pack_batches.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "dataset/packing.h"
#include "error_text.h"
#include "temp_folder.h"
#include "train/pack_order.h"

namespace stablelm {
namespace {

using Ids = std::vector<int32_t>;

TEST(PackOrder, IsAPermutationInEveryEpoch) {
  for (uint64_t packs = 1; packs < 150; ++packs) {
    const PackOrder order(packs, 7);
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      std::set<uint64_t> seen;
      for (uint64_t i = 0; i < packs; ++i) {
        const uint64_t pack = order.At(epoch * packs + i);
        EXPECT_LT(pack, packs);
        seen.insert(pack);
      }
      EXPECT_EQ(seen.size(), packs);
    }
  }
}

TEST(PackOrder, DependsOnSeedAndEpoch) {
  const auto epoch = [](uint64_t seed, uint64_t number) {
    const PackOrder order(1000, seed);
    std::vector<uint64_t> packs;
    for (uint64_t i = 0; i < 1000; ++i) packs.push_back(order.At(number * 1000 + i));
    return packs;
  };
  EXPECT_EQ(epoch(1, 0), epoch(1, 0));
  EXPECT_NE(epoch(1, 0), epoch(2, 0));
  EXPECT_NE(epoch(1, 0), epoch(1, 1));
}

// Every place of an epoch gets every pack about equally often: chi-squared of 64 seeds by 16 packs. 225 degrees of
// freedom: 3 standard deviations are 225 + 3 sqrt(450) = 289, and 6 are 353.
TEST(PackOrder, IsEven) {
  constexpr uint64_t kPacks = 16, kSeeds = 1600;
  std::vector<uint64_t> counts(kPacks * kPacks);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const PackOrder order(kPacks, seed);
    for (uint64_t i = 0; i < kPacks; ++i) ++counts[i * kPacks + order.At(i)];
  }
  const double expected = static_cast<double>(kSeeds) / kPacks;
  double chi = 0;
  for (const uint64_t count : counts)
    chi += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  EXPECT_LT(chi, 353);
}

TEST(PackOrder, TakesManyPacks) {
  const PackOrder order(uint64_t{1} << 40, 3);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(order.At(i));
  EXPECT_EQ(seen.size(), 1000U);
}

class PackBatchesTest : public testing::Test {
 protected:
  PackBatchesTest() {
    for (uint32_t i = 0; i < 40; ++i) {
      Ids ids;
      std::vector<uint8_t> targets;
      for (uint32_t t = 0; t < 3 + i % 11; ++t) {
        ids.push_back(static_cast<int32_t>(100 * i + t));
        targets.push_back(t > 0 && (t + i) % 3 != 0);
      }
      lengths_.push_back(static_cast<uint32_t>(ids.size()));
      ids_.push_back(ids);
      targets_.push_back(targets);
    }
    const Packs packs = PackSamples(lengths_, 32, Packing::kPack, 1);
    WriteTokenShards(
        folder_.path(), {.split = "train", .sequence_length = 32, .vocab_size = 5000}, packs,
        [](uint32_t sample) { return TokenDocument{.row = sample}; },
        [&](uint32_t sample) {
          return SampleTokens{ids_[sample], targets_[sample]};
        });
  }
  TempFolder folder_;
  std::vector<uint32_t> lengths_;
  std::vector<Ids> ids_;
  std::vector<std::vector<uint8_t>> targets_;
};

TEST_F(PackBatchesTest, AnEpochHoldsEveryDocumentOnceWithItsTargetsShifted) {
  const TokenShards shards(folder_.path(), "train");
  const PackBatches batches(shards, {.rows = 1, .micro_batches = 1}, 5);
  BatchBuffer buffer;
  std::set<int32_t> seen;
  for (uint64_t step = 0; step < shards.packs(); ++step) {
    for (const TrainDocument& document : batches.Read({.step = step}, buffer)) {
      const auto sample = static_cast<size_t>(document.tokens[0] / 100);
      EXPECT_TRUE(seen.insert(document.tokens[0]).second);
      EXPECT_EQ(Ids(document.tokens.begin(), document.tokens.end()), ids_[sample]);
      for (size_t i = 0; i < document.tokens.size(); ++i) {
        const bool learned = i + 1 < document.tokens.size() && targets_[sample][i + 1] != 0;
        EXPECT_EQ(document.targets[i], learned ? document.tokens[i + 1] : kNoTarget);
      }
    }
  }
  EXPECT_EQ(seen.size(), ids_.size());
}

TEST_F(PackBatchesTest, AStepIsTheSameHoweverItIsDivided) {
  const TokenShards shards(folder_.path(), "train");
  const auto documents = [&](const StepShape& shape, uint64_t step) {
    const PackBatches batches(shards, shape, 5);
    BatchBuffer buffer;
    std::multiset<int32_t> firsts;
    uint64_t targets = 0;
    for (uint64_t micro = 0; micro < shape.micro_batches; ++micro) {
      for (uint64_t lane = 0; lane < shape.lanes; ++lane) {
        const TrainBatch batch = batches.Read({.step = step, .micro = micro, .lane = lane}, buffer);
        EXPECT_LE(static_cast<uint64_t>(CountTokens(batch)), batches.MostTokens());
        EXPECT_LE(batch.size(), batches.MostDocuments());
        targets += static_cast<uint64_t>(CountTargets(batch));
        for (const TrainDocument& document : batch) firsts.insert(document.tokens[0]);
      }
    }
    EXPECT_EQ(targets, batches.TargetsOfStep(step));
    return firsts;
  };
  for (const uint64_t step : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{1000}}) {
    const auto want = documents({.rows = 4, .micro_batches = 1}, step);
    EXPECT_EQ(documents({.rows = 2, .micro_batches = 2}, step), want);
    EXPECT_EQ(documents({.rows = 1, .micro_batches = 4}, step), want);
    EXPECT_EQ(documents({.rows = 1, .micro_batches = 2, .lanes = 2}, step), want);
  }
}

TEST_F(PackBatchesTest, ItSaysHowFarARunIs) {
  const TokenShards shards(folder_.path(), "train");
  const PackBatches batches(shards, {.rows = 2}, 5);
  EXPECT_EQ(batches.StepsOfEpoch(), shards.packs() / 2);
  EXPECT_DOUBLE_EQ(batches.EpochsBefore(0), 0);
  EXPECT_DOUBLE_EQ(batches.EpochsBefore(shards.packs()), 2);
}

TEST_F(PackBatchesTest, TooFewPacksAreAnError) {
  const TokenShards shards(folder_.path(), "train");
  const uint64_t packs = shards.packs();
  const auto error = [&](const StepShape& shape) { return ErrorText([&] { PackBatches(shards, shape, 5); }); };
  const std::string text = error({.rows = 1000});
  EXPECT_NE(text.find("fewer packs than a step takes"), std::string::npos) << text;
  // Its settings are taken.
  EXPECT_NE(text.find("`--set rows=" + std::to_string(packs) + " --set micro_batches=1`"), std::string::npos) << text;
  const std::string micro = error({.rows = 2, .micro_batches = 1000});
  EXPECT_NE(micro.find("`--set micro_batches=" + std::to_string(packs / 2) + "`"), std::string::npos) << micro;
  PackBatches(shards, {.rows = packs}, 5);
  PackBatches(shards, {.rows = 2, .micro_batches = packs / 2}, 5);
}

}  // namespace
}  // namespace stablelm
