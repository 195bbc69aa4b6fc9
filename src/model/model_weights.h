// The weights of a model as a value, apart from what runs them (model/transformer.h). Immutable and safe to share.
//
// Made by LoadWeights (model/load.h), or by whoever keeps weights in the layout of ops/packed_matrix.h and gives views.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "model/block.h"
#include "model/linear.h"
#include "ops/rotary.h"

namespace stablelm {

struct ModelWeights {
  ModelConfig config;
  TensorView embedding;  // [V, C], in any type, at any byte address
  std::vector<BlockWeights> blocks;
  LayerNormWeights final_norm;
  Linear output;  // [V, C]
  RotaryTable rotary;
  std::shared_ptr<const void> storage;  // keeps what the views above name: mapped files, copies

  // Bytes of the packed matrices by type: what every forward pass reads, whatever its number of rows.
  std::map<DType, uint64_t> MatrixBytes() const;
  // What a token reads of the embedding.
  uint64_t EmbeddingRowBytes() const { return BytesOf(embedding.dtype, embedding.shape[1]); }

  // Row `row` of a tensor of the weight table as fp32, [columns] of a matrix; a vector is one row. QKV rows stand in
  // the order of the file (BlockWeights::qkv_layout).
  void ReadRow(const WeightEntry& entry, int64_t row, float* out) const;
  // The flat index of the first value of a tensor that is NaN or infinite.
  std::optional<size_t> FirstNonFiniteValue(const WeightEntry& entry) const;
};

}  // namespace stablelm
