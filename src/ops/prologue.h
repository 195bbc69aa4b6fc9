// The prologue of a product: the layer norm or the MLP activation that is applied to its rows first.
//
// A product with a prologue reads x and multiplies prologue(x). With many rows, the thread that prepares a row for the
// product applies the prologue in its own scratch memory, so intermediate rows are neither written to memory nor read
// back. Both ways give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "ops/execution_context.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"

namespace stablelm {

using Prologue = std::variant<std::monostate, LayerNormWeights, GeluForm>;  // the first: none

// The left matrix of a product: rows of x [rows, width] and their prologue.
struct ProductRows {
  const float* x = nullptr;  // contiguous
  int64_t rows = 0;
  Prologue prologue = {};
  // Buffer for prologue(x) [rows, width], used when the product does not apply the prologue itself: with few rows, and
  // for observers. May be x when x is not needed afterwards. Not needed without a prologue.
  float* applied = nullptr;

  bool has_prologue() const { return prologue.index() != 0; }
};

// in.applied = prologue(in.x). Requires a prologue.
void ApplyPrologue(const ProductRows& in, size_t width, ExecutionContext& exec);
// One row, on the calling thread: y = prologue(x). Returns y, or x without a prologue.
const float* ApplyPrologueToRow(const Prologue& prologue, const float* x, size_t width, float* y);

}  // namespace stablelm
