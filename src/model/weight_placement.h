// What each tensor of a model becomes in memory: asked by the loader, which does it, and by the memory plan, which adds
// it up beforehand.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "ops/compute.h"

namespace stablelm {

// What a caller wants of the weights.
struct WeightTypes {
  std::optional<DType> dtype = {};  // kF32, kF16 or kBF16 for matrices; empty: as stored, and fp64 as fp32
  std::span<const DType> types =
      {};  // [table] or empty: instead of dtype, what each matrix becomes, quantized types too
  Compute compute =
      Compute::kExact;  // of linear layers; kFast rounds their float matrices to bf16. Not the embedding's
};

struct WeightPlacement {
  enum class Where : uint8_t {
    kMapped,  // read where it is in the file: the embedding
    kCopied,  // a copy of its rows: vectors, always fp32, and an embedding that is converted
    kPacked,  // ops/packed_matrix.h
  };
  Where where = Where::kCopied;
  DType type = DType::kF32;           // of the values: a float matrix of Compute::kFast is then rounded to bf16
  Compute compute = Compute::kExact;  // of products with it
  uint64_t bytes = 0;                 // mapped or allocated
  uint64_t gathered = 0;              // allocated while it is loaded: C order of a tensor that is stored with strides

  // The type of a packed matrix.
  DType packed_type() const { return PackedType(type, compute); }
};

// Entry `i` of the weight table, which is stored as `stored`.
WeightPlacement PlaceWeight(size_t i, const WeightEntry& entry, DType stored, bool contiguous,
                            const WeightTypes& wanted);
// The output matrix of a tied model, packed from an embedding of this type.
WeightPlacement PlaceTiedOutput(const ModelConfig& config, DType embedding, const WeightTypes& wanted);

}  // namespace stablelm
