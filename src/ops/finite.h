// The search for values that are not finite.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "ops/execution_context.h"

namespace stablelm {

// Whether no value is NaN or infinite.
bool AllFinite(const float* values, size_t n, ExecutionContext& exec);

// The index of the first NaN or infinity, or n. By the calling thread.
size_t FirstNonFinite(const float* values, size_t n);
// The same for stored values of a float type (fp32, fp16, bf16, fp64), or whole blocks of a quantized type, as fp32.
// Any byte address.
size_t FirstNonFiniteValue(const std::byte* values, DType type, size_t n);

}  // namespace stablelm
