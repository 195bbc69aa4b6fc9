// Small models of odd sizes with random parameters, and documents for them.
#pragma once

#include "ops/gradient_norm.h"
#include "ops/op_testing.h"
#include "train/train_testing.h"

namespace stablelm {

// Odd sizes: C 60, D 20, 6 rotary dims, MLP 150, V 515.
inline ModelConfig OddConfig() {
  ModelConfig c;
  c.vocab_size = 515;
  c.hidden_size = 60;
  c.n_layers = 3;
  c.n_heads = 3;
  c.intermediate_size = 150;
  c.max_positions = 128;
  c.rotary_dims = 6;
  return c;
}

// Every parameter random, norms and biases too, and large enough that every term matters.
inline std::unique_ptr<Parameters> Drawn(const ModelConfig& config, ThreadPool& pool,
                                         Precision precision = Precision::kF32, std::vector<std::string> trained = {}) {
  auto parameters =
      std::make_unique<Parameters>(config, ParameterTable(config, trained), precision, QkvOrder::kPerHead);
  for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
    const WeightEntry& entry = parameters->table().entries()[e].weight;
    const bool norm = entry.name.ends_with("norm.weight");
    std::vector<float> values = RandomNormals(static_cast<size_t>(entry.shape.NumElements()), 100 + e, 0.15);
    if (norm) {
      for (float& v : values) v += 1;
    }
    parameters->SetRows(e, 0, values);
  }
  pool.ForRanges(parameters->table().trained_size(), kNormChunk,
                 [&](size_t begin, size_t end) { parameters->RoundWeights(begin, end); });
  return parameters;
}

// A long document, one token alone, one without targets, one of a page and a token.
inline OwnedBatch Documents(int64_t vocab_size, uint64_t seed = 7) {
  OwnedBatch batch;
  batch.AddText(RandomIds(41, vocab_size, seed));
  batch.Add(RandomIds(1, vocab_size, seed + 1), {static_cast<int32_t>(vocab_size - 1)});
  batch.Add(RandomIds(5, vocab_size, seed + 2), std::vector<int32_t>(5, kNoTarget));
  batch.AddText(RandomIds(33, vocab_size, seed + 3));
  return batch;
}

}  // namespace stablelm
