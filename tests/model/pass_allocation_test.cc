// A forward pass allocates nothing: its buffers are those of the context.
#include <gtest/gtest.h>

#include <array>

#include "count_allocations.h"
#include "model/load_adapters.h"
#include "model/model_testing.h"

namespace stablelm {
namespace {

TEST(PassAllocation, Nothing) {
  struct Model {
    const char* folder;
    Compute compute = Compute::kExact;
    std::vector<AdapterChoice> adapters = {};
  };
  for (const Model& tested : {Model{"golden/parallel"}, Model{"golden/parallel", Compute::kFast},
                              Model{.folder = "golden/lora/base",
                              .adapters = {{AdapterFolder::Open(TestData("golden/lora/adapter_after8"))}}}}) {
    const auto base = LoadWeights(ModelFolder::Open(TestData(tested.folder)), {.compute = tested.compute});
    const Transformer model(WithAdapters(base, tested.adapters));
    for (const DType kv : {DType::kF32, DType::kI8}) {
      ThreadPool pool(2);
      ForwardContext ctx(model.config(), {.context = 64, .max_rows = 16, .max_logit_rows = 4, .threads = 2}, pool);
      KvCache cache(model.config(), kv, 8);
      KvSequence prefill(cache), decode(cache);
      const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
      const auto pass = [&](size_t rows) {
        const std::array<BatchSequence, 2> batch = {
            BatchSequence{.tokens = std::span(ids).first(rows), .cache = &prefill, .logits_from = 0},
            BatchSequence{.tokens = std::span(ids).first(1), .cache = &decode, .logits_from = 0}};
        model.Forward(batch, ctx);
      };
      pass(1);  // takes the first page of each sequence
      const int64_t before = allocations;
      for (size_t rows = 1; rows <= 3; ++rows) pass(rows);
      EXPECT_EQ(allocations, before);
    }
  }
  EXPECT_GT(allocations, 0);
}

}  // namespace
}  // namespace stablelm
