// A training step allocates nothing after the first: all buffers are there before.
#include <gtest/gtest.h>

#include "count_allocations.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

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

}  // namespace
}  // namespace stablelm
