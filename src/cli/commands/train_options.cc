#include "cli/commands/train_options.h"

#include "cli/app/options.h"

namespace stablelm {

void TrainOptions::Add(CLI::App& app) {
  AddChoice(app, "--precision", {"fp32", "bf16", "fp16"}, "Arithmetic of the step (default: fp32)", [this](size_t i) {
    constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kBF16, Precision::kF16};
    precision = kPrecisions[i];
  });
  AddChoice(app, "--recompute", {"none", "mlp", "layer"},
            "What the backward pass computes again to keep less: nothing, the MLP, whole layers (default: none)",
            [this](size_t i) {
              constexpr Recompute kPolicies[] = {Recompute::kNone, Recompute::kMlp, Recompute::kLayer};
              recompute = kPolicies[i];
            });
  AddValues(app, "--trained", "PATTERN",
            "Train the parameters with names like this alone, as \"*.layers.15.*\"; may be repeated (default: all)",
            [this](const std::string& pattern) { trained.push_back(pattern); });
}

}  // namespace stablelm
