// After the first token the sampler allocates nothing.
#include <gtest/gtest.h>

#include "count_allocations.h"
#include "generate/sampling/row_testing.h"
#include "generate/sampling/sampler.h"

namespace stablelm {
namespace {

TEST(SamplerAllocation, NothingFromTheSecondToken) {
  const size_t vocab = 3000;
  const Philox random(81);
  std::vector<std::vector<float>> rows;
  for (uint64_t i = 0; i < 60; ++i) rows.push_back(RandomRow(vocab, {.removed = 0}, random, i));
  SamplingOptions fast = {.temperature = 0.8, .top_k = 200, .top_p = 0.9, .min_p = 0.01};
  fast.repetition_penalty = 1.1;
  fast.presence_penalty = 0.1;
  fast.frequency_penalty = 0.1;
  fast.no_repeat_ngram_size = 3;
  fast.min_new_tokens = 4;
  SamplingOptions every = fast;
  every.typical_p = 0.9;
  every.epsilon_cutoff = 1e-4;
  every.eta_cutoff = 1e-4;
  every.top_n_sigma = 3;
  every.xtc_probability = 0.5;
  every.dynatemp_range = 0.2;
  SamplingOptions mirostat = {.temperature = 0.8};
  mirostat.mirostat = 2;
  for (const SamplingOptions& options : {SamplingOptions{}, fast, every, mirostat}) {
    SamplerSetup setup = {.options = options, .seed = 1, .stop_ids = {0}, .top_logprobs = 5};
    Sampler sampler(setup, static_cast<int64_t>(vocab));
    SamplerWorkspace workspace(static_cast<int64_t>(vocab));
    std::vector<int32_t> ids = {1, 2, 3};
    ids.reserve(100);
    ids.push_back(sampler.Choose(rows[0], ids, 0, workspace).id);
    const int64_t before = allocations;
    for (int64_t i = 1; i < 60; ++i) ids.push_back(sampler.Choose(rows[static_cast<size_t>(i)], ids, i, workspace).id);
    EXPECT_EQ(allocations, before);
  }
  EXPECT_GT(allocations, 0);
}

}  // namespace
}  // namespace stablelm
