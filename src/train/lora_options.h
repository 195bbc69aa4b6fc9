// Which low-rank adapters a LoRA run trains (model/adapter.h).
#pragma once

#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/name_table.h"
#include "checkpoint/describe/weight_table.h"

namespace stablelm {

struct LoraOptions {
  int64_t rank = 16;                                           // r
  double alpha = 32;                                           // the update is scaled by alpha / r
  bool rslora = false;                                         // by alpha / sqrt(r) instead
  double dropout = 0;                                          // of the adapters' input, in training: 0 <= dropout < 1
  uint64_t seed = 1;                                           // of the initial A, and of dropout
  std::vector<WeightKind> targets = {WeightKind::kQkvWeight};  // in the order of kLoraTargets, each once

  double Scale() const {
    const double r = static_cast<double>(rank);
    return alpha / (rslora ? std::sqrt(r) : r);
  }
};

// The matrices that may have adapters, by PEFT's names of their modules. The order is that of the layer.
inline constexpr std::pair<WeightKind, const char*> kLoraTargets[] = {
    {WeightKind::kQkvWeight, "query_key_value"},
    {WeightKind::kAttnOutWeight, "dense"},
    {WeightKind::kMlpUpWeight, "dense_h_to_4h"},
    {WeightKind::kMlpDownWeight, "dense_4h_to_h"},
};

// Adapters of this rank on all targets, with the usual scale of 2.
inline LoraOptions LoraOnAllTargets(int64_t rank) {
  LoraOptions lora = {.rank = rank, .alpha = 2 * static_cast<double>(rank), .targets = {}};
  for (const auto& [kind, name] : kLoraTargets) lora.targets.push_back(kind);
  return lora;
}

inline std::string_view LoraTargetName(WeightKind kind) { return NameIn(NameTable<WeightKind>(kLoraTargets), kind); }

// Tells the adapters of a model apart: the key of dropout and of the initial values.
inline uint32_t LoraKey(WeightKind kind, int32_t layer) {
  uint32_t place = 0;
  while (kLoraTargets[place].first != kind) ++place;
  return static_cast<uint32_t>(layer) * static_cast<uint32_t>(std::size(kLoraTargets)) + place;
}

}  // namespace stablelm
