// What rows of activations go through on their way into a product: a layer norm, or the activation of the MLP.
//
// A product can take it in (MatMulInput::step): a thread that prepares a row for the product does the step on it first,
// in its own scratch memory, and the rows in between are neither written nor read again.
#pragma once

#include <cstddef>
#include <variant>

#include "base/thread_pool.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"

namespace stablelm {

using RowStep = std::variant<std::monostate, LayerNormWeights, GeluForm>;  // the first: none
inline bool HasStep(const RowStep& step) { return step.index() != 0; }

// y [rows, width] of x [rows, width], which may be y. Both forms give the same bits; without a step y is a copy of x.
void RunStep(const RowStep& step, const float* x, size_t rows, size_t width, float* y, ThreadPool& pool);
// One row, by the calling thread: y, or x where there is no step.
const float* StepRow(const RowStep& step, const float* x, size_t width, float* y);

}  // namespace stablelm
