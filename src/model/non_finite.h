// Finds the origin of a non-finite value. The forward pass is repeated with this observer, which stops at the first
// step whose output has a NaN or infinity and then checks that step's own weights for one.
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
  // first_bad_weight: returns the flat index of the first non-finite value of a tensor.
  NonFiniteFinder(const ModelConfig& config, std::function<std::optional<size_t>(const WeightEntry&)> first_bad_weight)
      : config_(config), first_bad_weight_(std::move(first_bad_weight)) {}
  // Throws Error at the first non-finite output.
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override;
  // Throws Error: the first pass gave non-finite values, but the repeated pass did not.
  [[noreturn]] void Fail() const;

 private:
  const ModelConfig& config_;
  std::function<std::optional<size_t>(const WeightEntry&)> first_bad_weight_;
};

}  // namespace stablelm
