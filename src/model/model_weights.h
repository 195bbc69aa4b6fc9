// The weights of a model. model/transformer.h runs them. Immutable and safe to share.
//
// Made by LoadWeights (model/load.h), or by code that owns weights in the layout of ops/packed_matrix.h and passes
// views.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
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
  // [V, C], in any type, at any byte address. Without data: the rows of `output` (tied weights that are being trained).
  TensorView embedding;
  std::vector<BlockWeights> blocks;
  LayerNormWeights final_norm;
  Linear output;  // [V, C]
  RotaryTable rotary;
  std::shared_ptr<const void> storage;  // owns the memory behind the views: mapped files, copies

  // y [ids, C]: the embeddings of tokens; every id is in [0, V).
  void Embed(std::span<const int32_t> ids, float* y, ExecutionContext& exec) const;

  // Bytes of the packed matrices by type, without adapters. Every forward pass reads them once, however many rows it
  // has.
  std::map<DType, uint64_t> MatrixBytes() const;
  // Bytes of the adapters, which every pass reads, too.
  uint64_t AdapterBytes() const;
  // Bytes of the embedding that one token reads.
  uint64_t EmbeddingRowBytes() const {
    return embedding.data ? BytesOf(embedding.dtype, embedding.shape[1]) : output.weight().row_bytes();
  }

  // Row `row` of a tensor of the weight table as fp32, [columns] of a matrix; a vector is one row. QKV rows are in file
  // order (BlockWeights::qkv_layout).
  void ReadRow(const WeightEntry& entry, int64_t row, float* out) const;
  // Flat index of the first non-finite value of a tensor.
  std::optional<size_t> FirstNonFiniteValue(const WeightEntry& entry) const;
};

}  // namespace stablelm
