#include "cli/commands/train_options.h"

#include "cli/app/options.h"

namespace stablelm {

void TrainOptions::Add(CLI::App& app, const std::string& with) {
  const auto help = [&](std::string text) {
    if (!with.empty()) return with + text;
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
  };
  AddChoice(app, "--precision", {"fp32", "bf16", "fp16"}, help("arithmetic of the step (default: fp32)"),
            [this](size_t i) {
              constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kBF16, Precision::kF16};
              precision = kPrecisions[i];
            });
  AddChoice(app, "--recompute", {"none", "mlp", "layer"},
            help("what the backward pass computes again to keep less: nothing, the MLP, whole layers (default: none)"),
            [this](size_t i) {
              constexpr Recompute kPolicies[] = {Recompute::kNone, Recompute::kMlp, Recompute::kLayer};
              recompute = kPolicies[i];
            });
  AddValues(app, "--trained", "PATTERN",
            help("train only parameters whose names match, as \"*.layers.15.*\"; may be repeated (default: all)"),
            [this](const std::string& pattern) { trained.push_back(pattern); });
}

}  // namespace stablelm
