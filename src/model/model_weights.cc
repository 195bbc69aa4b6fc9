#include "model/model_weights.h"

#include <algorithm>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/embedding.h"
#include "ops/finite.h"

namespace stablelm {
namespace {

// The matrix or the vector of an entry; both null for the embedding.
struct Stored {
  const Linear* matrix = nullptr;
  const float* vector = nullptr;
};

Stored Find(const ModelWeights& weights, const WeightEntry& entry) {
  using K = WeightKind;
  if (entry.kind == K::kFinalNormWeight) return {.vector = weights.final_norm.weight};
  if (entry.kind == K::kFinalNormBias) return {.vector = weights.final_norm.bias};
  if (entry.kind == K::kOutput) return {.matrix = &weights.output};
  if (entry.kind == K::kEmbedding) return {};
  const BlockWeights& block = weights.blocks[static_cast<size_t>(entry.layer)];
  switch (entry.kind) {
    case K::kAttnNormWeight:
      return {.vector = block.attn_norm.weight};
    case K::kAttnNormBias:
      return {.vector = block.attn_norm.bias};
    case K::kMlpNormWeight:
      return {.vector = block.mlp_norm.weight};
    case K::kMlpNormBias:
      return {.vector = block.mlp_norm.bias};
    case K::kQkvWeight:
      return {.matrix = &block.qkv};
    case K::kQkvBias:
      return {.vector = block.qkv.bias()};
    case K::kAttnOutWeight:
      return {.matrix = &block.attn_out};
    case K::kAttnOutBias:
      return {.vector = block.attn_out.bias()};
    case K::kMlpUpWeight:
      return {.matrix = &block.mlp_up};
    case K::kMlpUpBias:
      return {.vector = block.mlp_up.bias()};
    case K::kMlpDownWeight:
      return {.matrix = &block.mlp_down};
    case K::kMlpDownBias:
      return {.vector = block.mlp_down.bias()};
    default:
      STABLELM_CHECK(false);
  }
}

}  // namespace

void ModelWeights::Embed(std::span<const int32_t> ids, float* y, ExecutionContext& exec) const {
  embedding.data ? EmbedTokens(embedding, ids, y, exec) : EmbedTokens(output.weight(), ids, y, exec);
}

std::map<DType, uint64_t> ModelWeights::MatrixBytes() const {
  std::map<DType, uint64_t> bytes;
  for (const BlockWeights& block : blocks) {
    for (const Linear* linear : {&block.qkv, &block.attn_out, &block.mlp_up, &block.mlp_down}) {
      bytes[linear->type()] += linear->bytes();
    }
  }
  bytes[output.type()] += output.bytes();
  return bytes;
}

uint64_t ModelWeights::AdapterBytes() const {
  uint64_t bytes = 0;
  for (const BlockWeights& block : blocks) {
    for (const Linear* linear : {&block.qkv, &block.attn_out, &block.mlp_up, &block.mlp_down}) {
      for (const Adapter& adapter : linear->adapters()) bytes += adapter.bytes();
    }
  }
  return bytes;
}

void ModelWeights::ReadRow(const WeightEntry& entry, int64_t row, float* out) const {
  const Stored stored = Find(*this, entry);
  if (stored.matrix) return stored.matrix->ReadRow(row, out);
  if (stored.vector) {
    std::copy_n(stored.vector, entry.shape[0], out);
    return;
  }
  if (!embedding.data) return output.ReadRow(row, out);
  ConvertValues(embedding.data + static_cast<size_t>(row) * EmbeddingRowBytes(), embedding.dtype,
                reinterpret_cast<std::byte*>(out), DType::kF32, static_cast<size_t>(embedding.shape[1]));
}

std::optional<size_t> ModelWeights::FirstNonFiniteValue(const WeightEntry& entry) const {
  const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1;
  std::vector<float> values(static_cast<size_t>(entry.shape[entry.IsMatrix() ? 1 : 0]));
  for (int64_t row = 0; row < rows; ++row) {
    ReadRow(entry, row, values.data());
    const size_t bad = FirstNonFinite(values.data(), values.size());
    if (bad < values.size()) return static_cast<size_t>(row) * values.size() + bad;
  }
  return std::nullopt;
}

}  // namespace stablelm
