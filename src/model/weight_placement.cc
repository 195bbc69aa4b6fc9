#include "model/weight_placement.h"

#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

WeightPlacement Packed(DType type, int64_t rows, int64_t columns, Compute compute) {
  WeightPlacement placed = {
      .where = WeightPlacement::Where::kPacked, .type = type, .compute = IsQuantized(type) ? Compute::kExact : compute};
  placed.bytes = PackedMatrix::Bytes(placed.packed_type(), rows, columns, placed.compute);
  return placed;
}

}  // namespace

WeightPlacement PlaceWeight(size_t i, const WeightEntry& entry, DType stored, bool contiguous,
                            const WeightTypes& wanted) {
  using Where = WeightPlacement::Where;
  const int64_t n = entry.shape.NumElements();
  WeightPlacement placed;
  if (!entry.IsMatrix()) {
    placed.bytes = BytesOf(DType::kF32, n);
  } else {
    const DType plain = stored == DType::kF64 ? DType::kF32 : IsDecodeOnly(stored) ? DType::kQ8_0 : stored;
    const DType type = wanted.types.empty() ? wanted.dtype.value_or(plain) : wanted.types[i];
    if (entry.kind == WeightKind::kEmbedding) {
      placed = {.where = type == stored && contiguous ? Where::kMapped : Where::kCopied,
                .type = type,
                .bytes = BytesOf(type, n)};
    } else {
      placed = Packed(type, entry.shape[0], entry.shape[1], wanted.compute);
    }
  }
  if (!contiguous) placed.gathered = BytesOf(stored, n);
  return placed;
}

WeightPlacement PlaceTiedOutput(const ModelConfig& config, DType embedding, const WeightTypes& wanted) {
  return Packed(embedding, config.vocab_size, config.hidden_size, wanted.compute);
}

}  // namespace stablelm
