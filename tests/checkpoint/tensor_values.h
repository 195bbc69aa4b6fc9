// Reads the values of stored tensors, for tests of all floors that read models.
#pragma once

#include <cstring>
#include <vector>

#include "checkpoint/convert_rows.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

// Entry `i` of the model's table in C order, as fp32.
inline std::vector<float> FloatsOf(const ModelFolder& model, size_t i) {
  std::vector<float> values(static_cast<size_t>(model.table()[i].shape.NumElements()));
  const StoredRows stored(model.FileOf(i), model.TensorOf(i));
  ConvertRows(stored.source(), {.type = DType::kF32}, [&](int64_t first, std::span<const std::byte> rows) {
    std::memcpy(values.data() + first * stored.source().width, rows.data(), rows.size());
  });
  return values;
}

}  // namespace stablelm
