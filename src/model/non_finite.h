// The search for the origin of a value that is not finite: a forward pass is repeated with this observer, which stops
// at the first step whose output holds NaN or infinity and looks whether that step's own weights hold one.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "model/forward_observer.h"

namespace stablelm {

class NonFiniteFinder : public ForwardObserver {
 public:
  // first_bad_weight: the flat index of the first value of a tensor that is not finite.
  NonFiniteFinder(const ModelConfig& config, std::function<std::optional<size_t>(const WeightEntry&)> first_bad_weight)
      : config_(config), first_bad_weight_(std::move(first_bad_weight)) {}
  // Throws Error at the first output that is not finite.
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override;
  // Throws Error: the pass gave values that are not finite, but no step of the repetition did.
  [[noreturn]] void Fail() const;

 private:
  const ModelConfig& config_;
  std::function<std::optional<size_t>(const WeightEntry&)> first_bad_weight_;
};

}  // namespace stablelm
