// A training step allocates nothing after the first: all buffers are there before, and the plan counts them.
#include <gtest/gtest.h>

#include "base/system.h"
#include "count_allocations.h"
#include "test_paths.h"
#include "train/train_plan.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

constexpr bool kMemoryIsWatched =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

TEST(StepAllocation, Nothing) {
  ThreadPool pool(2);
  for (const Precision precision : {Precision::kF32, Precision::kBF16, Precision::kF16}) {
    for (const Recompute recompute : {Recompute::kNone, Recompute::kLayer}) {
      const auto parameters = LoadFolder(TestData("golden/training/start"), pool, precision);
      OwnedBatch documents;
      documents.AddText(RandomIds(40, parameters->config().vocab_size, 1));
      documents.AddText(RandomIds(20, parameters->config().vocab_size, 2));
      const TrainBatch batch = documents.batch();
      const std::vector<TrainBatch> micro_batches = {batch, batch.subspan(1)};
      TrainingStep step(
          *parameters,
          {.max_tokens = 60, .max_documents = 2, .precision = precision, .recompute = recompute, .threads = 2}, {}, {},
          pool);
      step.Run(micro_batches, 1e-3);
      const int64_t before = allocations;
      for (int i = 0; i < 3; ++i) step.Run(micro_batches, 1e-3);
      EXPECT_EQ(allocations, before) << NameOf(precision) << " " << NameOf(recompute);
    }
  }
  for (const double dropout : {0.0, 0.1}) {
    const auto parameters = LoadAdapted(TestData("golden/training/start"), LoraOf(4, 8, dropout), pool);
    OwnedBatch documents;
    documents.AddText(RandomIds(40, parameters->config().vocab_size, 1));
    const TrainBatch batch = documents.batch();
    TrainingStep step(*parameters, ShapeOf(*parameters, batch, 2), {}, {}, pool);
    step.Run({&batch, 1}, 1e-3);
    const int64_t before = allocations;
    for (int i = 0; i < 3; ++i) step.Run({&batch, 1}, 1e-3);
    EXPECT_EQ(allocations, before) << "adapters, dropout " << dropout;
  }
  EXPECT_GT(allocations, 0);
}

// What the plan does not count (the program itself, stacks, tables of names) stays below 3 %.
TEST(StepMemory, StaysWithinThePlan) {
  if (kMemoryIsWatched) GTEST_SKIP() << "a sanitizer keeps memory of its own";
  ModelConfig config;  // 7.4 million parameters
  config.vocab_size = 8192;
  config.hidden_size = 256;
  config.n_layers = 4;
  config.n_heads = 4;
  config.intermediate_size = 1024;
  config.max_positions = 256;
  config.rotary_dims = 16;
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const TrainShape shape = {.max_tokens = 256, .max_documents = 1, .precision = precision, .threads = 2};
    const uint64_t before = ReadMemoryUse().anonymous;
    ThreadPool pool(2);
    const auto parameters = RandomParameters(config, pool, 1, precision);
    OwnedBatch documents;
    documents.AddText(RandomIds(256, config.vocab_size, 1));
    const TrainBatch batch = documents.batch();
    TrainingStep step(*parameters, shape, {}, {}, pool);
    for (int i = 0; i < 2; ++i) step.Run({&batch, 1}, 1e-3);
    const double used = static_cast<double>(ReadMemoryUse().anonymous - before);
    const double planned = static_cast<double>(PlanTraining(config, parameters->table(), shape).Anonymous());
    EXPECT_LE(used, 1.03 * planned) << NameOf(precision);
    EXPECT_GE(used, 0.9 * planned) << NameOf(precision);  // no plan is safe that counts too much
  }
}

}  // namespace
}  // namespace stablelm
