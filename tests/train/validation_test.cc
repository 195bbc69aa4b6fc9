// Validation loss by source: that of the same tokens in `score`, with any number of threads, and no gradient is
// touched.
#include "train/validation.h"

#include <gmock/gmock.h>

#include "dataset/packing.h"
#include "error_info.h"
#include "generate/scoring.h"
#include "temp_folder.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

class ValidationTest : public testing::Test {
 protected:
  ValidationTest() {
    for (uint32_t i = 0; i < 23; ++i) {
      ids_.push_back(RandomIds(2 + i % 9, 61, i));
      std::vector<uint8_t> targets;
      for (uint32_t t = 0; t < ids_.back().size(); ++t) targets.push_back(t > 0 && (t + i) % 3 != 0);
      lengths_.push_back(static_cast<uint32_t>(ids_.back().size()));
      targets_.push_back(targets);
    }
    manifest_.sources = {"a", "none", "b"};
    Write(3);
  }
  void Write(uint32_t sources) {
    WriteTokenShards(
        folder_.path(), {.split = kValidationSplit, .sequence_length = 16, .vocab_size = 61},
        PackSamples(lengths_, 16, Packing::kPack, 1),
        [&](uint32_t sample) { return TokenDocument{.row = sample, .source = sample % 2 * (sources - 1)}; },
        [&](uint32_t sample) {
          return SampleTokens{ids_[sample], targets_[sample]};
        });
  }
  static ModelConfig Config() {
    ModelConfig c;
    c.vocab_size = 61;
    c.hidden_size = 32;
    c.n_layers = 2;
    c.n_heads = 2;
    c.intermediate_size = 96;
    c.max_positions = 64;
    c.rotary_dims = 4;
    return c;
  }
  TempFolder folder_;
  Manifest manifest_;
  std::vector<uint32_t> lengths_;
  std::vector<std::vector<int32_t>> ids_;
  std::vector<std::vector<uint8_t>> targets_;
};

TEST_F(ValidationTest, IsTheLossThatScoringGives) {
  std::string of_one_thread;
  for (const auto& [threads, rows] :
       {std::pair{size_t{1}, uint64_t{1}}, {size_t{3}, uint64_t{1}}, {size_t{2}, uint64_t{4}}}) {
    ThreadPool pool(threads);
    const auto parameters = RandomParameters(Config(), pool);
    const auto validation = Validation::Open(folder_.path(), manifest_, rows);
    ASSERT_TRUE(validation);
    GradientPass pass(*parameters,
                      {.max_tokens = static_cast<int64_t>(validation->MostTokens()),
                       .max_documents = static_cast<int64_t>(validation->MostDocuments()),
                       .threads = threads},
                      pool);
    std::ranges::fill(parameters->gradients(), 7.0f);
    const ValidationResult result = validation->Run(pass);
    EXPECT_THAT(parameters->gradients(), testing::Each(7.0f));

    const Transformer model(parameters->weights());
    Scorer scorer(model, ShapeOfScore(16, DType::kF32, threads), pool);
    double sums[2] = {};
    int64_t tokens[2] = {};
    for (size_t sample = 0; sample < ids_.size(); ++sample) {
      const std::vector<double> logprobs = scorer.Score(ids_[sample]);
      for (size_t t = 1; t < ids_[sample].size(); ++t) {
        if (targets_[sample][t] == 0) continue;
        sums[sample % 2] -= logprobs[t - 1];
        ++tokens[sample % 2];
      }
    }
    ASSERT_EQ(result.sources.size(), 2u);
    EXPECT_EQ(result.sources[0].source, "a");
    EXPECT_EQ(result.sources[1].source, "b");
    for (size_t s = 0; s < 2; ++s) {  // in another order
      EXPECT_EQ(result.sources[s].loss_tokens, tokens[s]);
      EXPECT_NEAR(result.sources[s].sum, sums[s], 1e-12 * sums[s]);
    }
    EXPECT_NEAR(result.Mean(), (sums[0] + sums[1]) / static_cast<double>(tokens[0] + tokens[1]), 1e-12);
    const std::string json = ValidationJson(result).Dump();
    if (of_one_thread.empty()) of_one_thread = json;
    EXPECT_EQ(json, of_one_thread);  // all bits, whatever the threads and rows
  }
}

TEST_F(ValidationTest, DataWithoutTheSplitOrTargetsHaveNone) {
  const TempFolder other;
  EXPECT_FALSE(Validation::Open(other.path(), manifest_, 1));
  for (auto& targets : targets_) std::ranges::fill(targets, 0);
  Write(3);
  EXPECT_FALSE(Validation::Open(folder_.path(), manifest_, 1));
}

TEST_F(ValidationTest, ASourceThatTheManifestDoesNotHaveIsRefused) {
  Write(4);
  EXPECT_THAT(InfoOf([&] { Validation::Open(folder_.path(), manifest_, 1); }),
              Names((folder_.path() / "manifest.json").string(), "3 sources"));
}

}  // namespace
}  // namespace stablelm
