// Finds where a training pass stops being finite: sees every step of the forward and of the backward pass and remembers
// the first one with a NaN or infinity.
#pragma once

#include <optional>
#include <string>

#include "model/forward_observer.h"
#include "train/gradient_observer.h"
#include "train/train_batch.h"

namespace stablelm {

class FiniteWatch : public ForwardObserver, public GradientObserver {
 public:
  // The batch outlives it; `first_document`: number of its first document in the step.
  FiniteWatch(TrainBatch batch, size_t first_document) : batch_(batch), first_document_(first_document) {}
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override;
  void OnGradient(int64_t layer, std::string_view module, const float* d, int64_t rows, int64_t width) override;

  // "layer 3, mlp.dense_h_to_4h, backward pass, document 7"; empty: all values were finite.
  const std::string& place() const { return place_; }

 private:
  void Look(int64_t layer, std::string_view module, const char* pass, const float* values, int64_t rows, int64_t width);

  const TrainBatch batch_;
  const size_t first_document_;
  std::string place_;
};

}  // namespace stablelm
