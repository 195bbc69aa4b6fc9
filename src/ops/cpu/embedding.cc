#include "ops/embedding.h"

#include "ops/convert.h"

namespace stablelm {

void EmbedTokens(const TensorView& table, std::span<const int32_t> ids, float* y, ExecutionContext& exec) {
  const size_t width = static_cast<size_t>(table.shape[1]);
  const size_t row_bytes = BytesOf(table.dtype, table.shape[1]);
  exec.pool().ForRanges(ids.size(), 16, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      ConvertValues(table.data + static_cast<size_t>(ids[i]) * row_bytes, table.dtype,
                    reinterpret_cast<std::byte*>(y + i * width), DType::kF32, width);
    }
  });
}

void EmbedTokens(const PackedMatrix& table, std::span<const int32_t> ids, float* y, ExecutionContext& exec) {
  exec.pool().ForRanges(ids.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) table.UnpackRow(static_cast<size_t>(ids[i]), y + i * table.columns());
  });
}

}  // namespace stablelm
