// Search for non-finite values.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "ops/execution_context.h"

namespace stablelm {

// True when no value is NaN or infinite.
bool AllFinite(const float* values, size_t n, ExecutionContext& exec);

// The index of the first NaN or infinity, or n. Runs on the calling thread.
size_t FirstNonFinite(const float* values, size_t n);
// The same for stored values of a float type (fp32, fp16, bf16, fp64) or whole blocks of a quantized type, converted to
// fp32. Any byte address.
size_t FirstNonFiniteValue(const std::byte* values, DType type, size_t n);

}  // namespace stablelm
