#include "train/finite_watch.h"

#include "ops/finite.h"

namespace stablelm {

void FiniteWatch::OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) {
  Look(layer, module, "forward pass", y, rows, width);
}

void FiniteWatch::OnGradient(int64_t layer, std::string_view module, const float* d, int64_t rows, int64_t width) {
  Look(layer, module, "backward pass", d, rows, width);
}

void FiniteWatch::Look(int64_t layer, std::string_view module, const char* pass, const float* values, int64_t rows,
                       int64_t width) {
  if (!place_.empty()) return;
  const size_t n = static_cast<size_t>(rows * width), bad = FirstNonFinite(values, n);
  if (bad == n) return;
  place_ = (layer >= 0 ? "layer " + std::to_string(layer) + ", " : "") + std::string(module) + ", " + pass;
  // The rows at the output matrix are those with a target.
  const bool targets_only = rows != CountTokens(batch_);
  int64_t row = static_cast<int64_t>(bad) / width;
  for (size_t d = 0; d < batch_.size(); ++d) {
    const int64_t here = targets_only ? CountTargets(batch_.subspan(d, 1)) : CountTokens(batch_.subspan(d, 1));
    if (row < here) {
      place_ += ", document " + std::to_string(first_document_ + d);
      return;
    }
    row -= here;
  }
}

}  // namespace stablelm
