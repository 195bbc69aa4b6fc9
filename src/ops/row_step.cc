#include "ops/row_step.h"

#include <algorithm>

namespace stablelm {

void RunStep(const RowStep& step, const float* x, size_t rows, size_t width, float* y, ThreadPool& pool) {
  if (const auto* norm = std::get_if<LayerNormWeights>(&step)) {
    LayerNorm({.x = x, .rows = rows, .width = width, .norm = *norm, .y = y}, pool);
  } else if (const auto* gelu = std::get_if<GeluForm>(&step)) {
    Gelu(*gelu, x, rows * width, y, pool);
  } else if (x != y) {
    std::copy_n(x, rows * width, y);
  }
}

const float* StepRow(const RowStep& step, const float* x, size_t width, float* y) {
  if (const auto* norm = std::get_if<LayerNormWeights>(&step)) {
    LayerNorm({.x = x, .rows = 1, .width = width, .norm = *norm, .y = y});
  } else if (const auto* gelu = std::get_if<GeluForm>(&step)) {
    Gelu(*gelu, x, width, y);
  } else {
    return x;
  }
  return y;
}

}  // namespace stablelm
