// Decides how each tensor is stored in memory. The loader follows it; the memory plan sums it up in advance.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "ops/compute.h"

namespace stablelm {

// The types that a caller requests for the weights.
struct WeightTypes {
  std::optional<DType> dtype = {};    // kF32, kF16 or kBF16 for matrices; empty: as stored, fp64 as fp32,
                                      // types that IsDecodeOnly as Q8_0
  std::span<const DType> types = {};  // [table] or empty: type of each matrix instead of dtype, may be quantized
  Compute compute = Compute::kExact;  // of linear layers, not the embedding; kFast rounds their float matrices to bf16
};

struct WeightPlacement {
  enum class Where : uint8_t {
    kMapped,  // used in place in the mapped file: the embedding
    kCopied,  // copied: vectors, always fp32, and a converted embedding
    kPacked,  // ops/packed_matrix.h
  };
  Where where = Where::kCopied;
  DType type = DType::kF32;           // before Compute::kFast rounds a float matrix to bf16
  Compute compute = Compute::kExact;  // arithmetic of its products
  uint64_t bytes = 0;                 // mapped or allocated
  uint64_t gathered = 0;              // temporary, while loading: C-order copy of a tensor stored with strides

  // The type that a packed matrix has in memory.
  DType packed_type() const { return PackedType(type, compute); }
};

// Placement of entry `i` of the weight table, whose type in the file is `stored`.
WeightPlacement PlaceWeight(size_t i, const WeightEntry& entry, DType stored, bool contiguous,
                            const WeightTypes& wanted);
// Placement of the output matrix of a tied model, packed from an embedding of this type.
WeightPlacement PlaceTiedOutput(const ModelConfig& config, DType embedding, const WeightTypes& wanted);

}  // namespace stablelm
