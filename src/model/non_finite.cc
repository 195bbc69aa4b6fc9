#include "model/non_finite.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/weight_table.h"
#include "ops/convert.h"

namespace stablelm {
namespace {

// The first non-finite value of a tensor, or its number of elements.
int64_t FirstNonFiniteOf(const TensorView& view) {
  constexpr int64_t kPiece = 1 << 16;
  std::vector<float> values(static_cast<size_t>(kPiece));
  const int64_t total = view.NumElements();
  for (int64_t at = 0; at < total; at += kPiece) {
    const size_t n = static_cast<size_t>(std::min(kPiece, total - at));
    ConvertToFloat(view.dtype, view.data + static_cast<size_t>(at) * BytesOf(view.dtype), n, values.data());
    const size_t bad = FirstNonFinite(values.data(), n);
    if (bad < n) return at + static_cast<int64_t>(bad);
  }
  return total;
}

}  // namespace

void NonFiniteFinder::OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) {
  const size_t n = static_cast<size_t>(rows * width);
  const size_t bad = FirstNonFinite(y, n);
  if (bad == n) return;
  const std::string step = layer >= 0 ? "gpt_neox.layers." + std::to_string(layer) + "." + std::string(module)
                           : module == "embed_out" ? std::string(module)
                                                   : "gpt_neox." + std::string(module);
  const std::string where = layer >= 0 ? "layer " + std::to_string(layer) : "outside the layers";
  for (const WeightEntry& entry : WeightTable(weights_.config())) {
    if (entry.name != step + ".weight" && entry.name != step + ".bias") continue;
    const TensorView view = weights_.Get(entry.kind, entry.layer);
    const int64_t index = FirstNonFiniteOf(view);
    if (index == view.NumElements()) continue;
    throw Error(
        {.where = where,
         .what = "the output of " + step + " is not finite, because its tensor " + Quoted(entry.name) + " is not",
         .found = "NaN or infinity at element " + std::to_string(index),
         .expected = "finite weights",
         .hint = "the file is damaged or was saved with overflow: download or convert it again (--check-weights finds "
                 "this at loading)"});
  }
  throw Error(
      {.where = where,
       .what = "the output of " + step + " is not finite at row " + std::to_string(bad / static_cast<size_t>(width)) +
               ", column " + std::to_string(bad % static_cast<size_t>(width)),
       .found = std::to_string(y[bad]),
       .expected = "finite values (its inputs and weights are finite)",
       .hint =
           "the values grow beyond fp32 in this layer: the weights are damaged, or not what config.json describes"});
}

void NonFiniteFinder::Fail() const {
  throw Error({.where = "forward pass",
               .what = "the logits are not finite, but a repetition gave finite values",
               .found = {},
               .expected = {},
               .hint = "this points to failing memory or hardware"});
}

}  // namespace stablelm
