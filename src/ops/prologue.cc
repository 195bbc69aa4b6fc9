#include "ops/prologue.h"

#include "base/error.h"

namespace stablelm {

void ApplyPrologue(const ProductRows& in, size_t width, ExecutionContext& exec) {
  STABLELM_CHECK(in.has_prologue() && in.applied);
  const size_t rows = static_cast<size_t>(in.rows);
  if (const auto* norm = std::get_if<LayerNormWeights>(&in.prologue)) {
    LayerNorm({.x = in.x, .rows = rows, .width = width, .norm = *norm, .y = in.applied}, exec);
  } else {
    Gelu(std::get<GeluForm>(in.prologue), in.x, rows * width, in.applied, exec);
  }
}

const float* ApplyPrologueToRow(const Prologue& prologue, const float* x, size_t width, float* y) {
  if (const auto* norm = std::get_if<LayerNormWeights>(&prologue)) {
    LayerNormRow(x, width, *norm, y);
  } else if (const auto* gelu = std::get_if<GeluForm>(&prologue)) {
    GeluRow(*gelu, x, width, y);
  } else {
    return x;
  }
  return y;
}

}  // namespace stablelm
