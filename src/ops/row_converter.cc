#include "ops/row_converter.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/finite.h"
#include "ops/quant/quant_row.h"

namespace stablelm {

void RowConverter::Convert(int64_t row, const std::byte* from, std::span<float> scratch, std::byte* to) const {
  const size_t n = o_.width;
  if (IsQuantized(o_.to) && o_.from != o_.to) {
    STABLELM_CHECK(scratch.size() >= n);
    const std::span<float> floats = scratch.first(n);
    ConvertValues(from, o_.from, reinterpret_cast<std::byte*>(floats.data()), DType::kF32, n);
    if (const size_t bad = FirstNotQuantizable(o_.to, floats); bad < n) Fail(row, bad, floats[bad]);
    EncodeRow(o_.to, floats, o_.weights, to);
    return;
  }
  ConvertValues(from, o_.from, to, o_.to, n);
  if (Copies() || o_.non_finite == NonFinite::kKeep) return;
  if (FirstNonFiniteValue(to, o_.to, n) < n) RequireHeld(row, from, to);
}

// Throws for values that became non-finite, and with NonFinite::kRefuse for all non-finite values.
void RowConverter::RequireHeld(int64_t row, const std::byte* from, const std::byte* to) const {
  std::vector<float> before(o_.width), after(o_.width);
  ConvertValues(from, o_.from, reinterpret_cast<std::byte*>(before.data()), DType::kF32, o_.width);
  ConvertValues(to, o_.to, reinterpret_cast<std::byte*>(after.data()), DType::kF32, o_.width);
  for (size_t i = 0; i < o_.width; ++i) {
    if (!std::isfinite(after[i]) && (o_.non_finite == NonFinite::kRefuse || std::isfinite(before[i])))
      Fail(row, i, before[i]);
  }
}

void RowConverter::Fail(int64_t row, size_t column, float value) const {
  throw Error({.where = o_.where,
               .what = "the value at " +
                       (o_.matrix ? "row " + std::to_string(row) + ", column " + std::to_string(column)
                                  : "index " + std::to_string(row * static_cast<int64_t>(o_.width) +
                                                              static_cast<int64_t>(column))) +
                       " cannot be stored as " + std::string(NameOf(o_.to)),
               .found = std::isnan(value) ? "NaN" : std::to_string(value),
               .hint = std::isfinite(value) ? "this tensor needs a type with a larger range, such as bf16 or fp32"
                                            : "the weights are damaged"});
}

}  // namespace stablelm
