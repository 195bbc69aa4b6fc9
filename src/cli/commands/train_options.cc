#include "cli/commands/train_options.h"

#include <span>

#include "cli/app/options.h"

namespace stablelm {
namespace {

template <typename Value>
std::vector<std::string> NamesOf(std::span<const Value> values) {
  std::vector<std::string> names;
  for (const Value value : values) names.emplace_back(NameOf(value));
  return names;
}

}  // namespace

JsonValue PartsJson(const MemoryPlan& plan) {
  JsonValue parts = JsonValue::Array();
  for (const MemoryPart& part : plan.parts) parts.push_back({{"name", part.name}, {"bytes", part.bytes}});
  return parts;
}

void TrainOptions::Add(CLI::App& app, const std::string& with) {
  const auto help = [&](std::string text) {
    if (!with.empty()) return with + text;
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
  };
  AddChoice(app, "--precision", NamesOf<Precision>(kPrecisions), help("arithmetic of the step (default: fp32)"),
            [this](size_t i) { precision = kPrecisions[i]; });
  AddChoice(app, "--recompute", NamesOf<Recompute>(kRecomputes),
            help("what the backward pass computes again to keep less: nothing, the MLP, whole layers (default: none)"),
            [this](size_t i) { recompute = kRecomputes[i]; });
  AddValues(app, "--trained", "PATTERN",
            help("train only parameters whose names match, as \"*.layers.15.*\"; may be repeated (default: all)"),
            [this](const std::string& pattern) { trained.push_back(pattern); });
}

}  // namespace stablelm
