// Sees every gradient of activations that a backward pass computes: to find where one stopped being finite.
#pragma once

#include <cstdint>
#include <string_view>

namespace stablelm {

class GradientObserver {
 public:
  virtual ~GradientObserver() = default;
  // The gradient of the input of a module of a layer (layer -1: outside the layers), [rows, width], valid during the
  // call. Modules have the checkpoint's names, as in ForwardObserver::OnStep.
  virtual void OnGradient(int64_t layer, std::string_view module, const float* d, int64_t rows, int64_t width) = 0;
};

}  // namespace stablelm
