// The prologue of a product: the layer norm, or the activation of the MLP, that its rows go through first.
//
// A product with a prologue reads x and multiplies prologue(x). With many rows, the thread that prepares a row for the
// product applies the prologue in its own scratch memory, so the rows in between are neither written nor read again.
// Both ways give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "ops/execution_context.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"

namespace stablelm {

using Prologue = std::variant<std::monostate, LayerNormWeights, GeluForm>;  // the first: none

// The left side of a product: rows of x [rows, width] behind their prologue.
struct ProductRows {
  const float* x = nullptr;  // contiguous
  int64_t rows = 0;
  Prologue prologue = {};
  // Room for prologue(x) [rows, width] where the product does not apply it itself: with few rows, and for observers.
  // May be x when x is not needed afterwards. Not needed without a prologue.
  float* applied = nullptr;

  bool has_prologue() const { return prologue.index() != 0; }
};

// in.applied = prologue(in.x). Requires a prologue.
void ApplyPrologue(const ProductRows& in, size_t width, ExecutionContext& exec);
// One row, by the calling thread: y = prologue(x), or x itself without a prologue. Returns where the result is.
const float* ApplyPrologueToRow(const Prologue& prologue, const float* x, size_t width, float* y);

}  // namespace stablelm
