// Initial weights: distribution for each kind of tensor, and the same bytes with any number of threads.
#include "checkpoint/rewrite/initial_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <mutex>

#include "checkpoint/describe/weight_table.h"
#include "checkpoint/tiny_model.h"

namespace stablelm {
namespace {

// Large enough for several pieces: the embedding has 1.2 million elements.
ModelConfig SomeConfig() {
  ModelConfig config = TinyConfig();
  config.vocab_size = 18000;
  config.hidden_size = 64;
  config.intermediate_size = 256;
  return config;
}

using Tensors = std::vector<std::vector<std::byte>>;  // [table]

Tensors Drawn(const ModelConfig& config, uint64_t seed, DType dtype, size_t threads) {
  Tensors tensors;
  for (const WeightEntry& entry : WeightTable(config)) {
    tensors.emplace_back(BytesOf(dtype, entry.shape.NumElements()));
  }
  ThreadPool pool(threads);
  DrawInitialWeights(config, {.seed = seed, .dtype = dtype, .pool = &pool},
                     [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
                       std::memcpy(tensors[entry].data() + offset, bytes.data(), bytes.size());
                     });
  return tensors;
}

TEST(InitialWeights, ThreadsChangeNothingAndTheSeedEverything) {
  const ModelConfig config = SomeConfig();
  const Tensors one = Drawn(config, 7, DType::kBF16, 1);
  EXPECT_EQ(Drawn(config, 7, DType::kBF16, 3), one);
  EXPECT_NE(Drawn(config, 8, DType::kBF16, 1), one);
}

// The relative error of the standard deviation measured from n samples is at most 5 / sqrt(2 n) (5 standard errors).
TEST(InitialWeights, EveryKindHasItsDeviation) {
  const ModelConfig config = SomeConfig();
  const Tensors tensors = Drawn(config, 1, DType::kF32, 2);
  const std::vector<WeightEntry> table = WeightTable(config);
  const double width = static_cast<double>(config.hidden_size), layers = static_cast<double>(config.n_layers);
  for (size_t t = 0; t < table.size(); ++t) {
    SCOPED_TRACE(table[t].name);
    std::vector<float> values(tensors[t].size() / sizeof(float));
    std::memcpy(values.data(), tensors[t].data(), tensors[t].size());
    double sum = 0;
    for (const float v : values) sum += double{v} * v;
    const double n = static_cast<double>(values.size()), rms = std::sqrt(sum / n);
    if (!table[t].IsMatrix()) {
      const bool norm = table[t].name.find("norm") != std::string::npos && table[t].name.ends_with("weight");
      for (const float v : values) ASSERT_EQ(v, norm ? 1 : 0);
      continue;
    }
    const bool to_residual = table[t].kind == WeightKind::kAttnOutWeight || table[t].kind == WeightKind::kMlpDownWeight;
    const double want = to_residual ? 2 / (layers * std::sqrt(width)) : std::sqrt(2 / (5 * width));
    EXPECT_LE(std::abs(rms / want - 1), 5 / std::sqrt(2 * n)) << rms << " " << want;
  }
}

TEST(InitialWeights, ACheckpointThatThrowsEndsTheWork) {
  ThreadPool pool(2);
  EXPECT_THROW(DrawInitialWeights(TinyConfig(), {.pool = &pool, .checkpoint = [] { throw 7; }},
                                  [](size_t, uint64_t, std::span<const std::byte>) {}),
               int);
}

}  // namespace
}  // namespace stablelm
