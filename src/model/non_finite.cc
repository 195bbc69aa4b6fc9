#include "model/non_finite.h"

#include <string>

#include "base/error_kinds.h"
#include "ops/convert.h"
#include "ops/finite.h"

namespace stablelm {

void NonFiniteFinder::OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) {
  const size_t n = static_cast<size_t>(rows * width);
  const size_t bad = FirstNonFinite(y, n);
  if (bad == n) return;
  const std::string step = layer >= 0 ? "gpt_neox.layers." + std::to_string(layer) + "." + std::string(module)
                           : module == "embed_out" ? std::string(module)
                                                   : "gpt_neox." + std::string(module);
  const std::string where = layer >= 0 ? "layer " + std::to_string(layer) : "outside the layers";
  for (const WeightEntry& entry : WeightTable(config_)) {
    if (entry.name != step + ".weight" && entry.name != step + ".bias") continue;
    const std::optional<size_t> index = first_bad_weight_(entry);
    if (!index) continue;
    throw InvalidModel(
        {.where = where,
         .what = "the output of " + step + " is not finite, because its tensor " + Quoted(entry.name) + " is not",
         .found = "NaN or infinity at element " + std::to_string(*index),
         .expected = "finite weights",
         .hint = "the file is damaged or was saved with overflow: download or convert it again (`check_weights` finds "
                 "this at loading)"});
  }
  throw InvalidModel(
      {.where = where,
       .what = "the output of " + step + " is not finite at row " + std::to_string(bad / static_cast<size_t>(width)) +
               ", column " + std::to_string(bad % static_cast<size_t>(width)),
       .found = std::to_string(y[bad]),
       .expected = "finite values (its inputs and weights are finite)",
       .hint =
           "the values grow beyond fp32 in this layer: the weights are damaged, or not what config.json describes"});
}

void NonFiniteFinder::Fail() const {
  throw InvalidModel({.where = "forward pass",
                      .what = "the logits are not finite, but a repetition gave finite values",
                      .hint = "this points to failing memory or hardware"});
}

}  // namespace stablelm
