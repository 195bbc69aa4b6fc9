// Loads LoRA adapters and adds them to a model's weights.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/describe/weight_table.h"
#include "model/adapter.h"
#include "model/model_weights.h"

namespace stablelm {

// Views of all weights of `base`, which they keep alive, with the adapters that `adapters_of` gives for each of a
// layer's four matrices. The base has none of its own.
ModelWeights AdaptedViews(const std::shared_ptr<const ModelWeights>& base,
                          FunctionRef<std::vector<Adapter>(WeightKind kind, int32_t layer)> adapters_of);

// Checks the adapters against a model. Throws Error, see AdapterFolder::Match.
void CheckAdapters(const ModelConfig& model, std::span<const AdapterChoice> adapters,
                   std::vector<std::string>* warnings = nullptr);
// Bytes that WithAdapters allocates.
uint64_t PlanAdapters(const ModelConfig& model, std::span<const AdapterChoice> adapters);

// The weights with these adapters, added in this order. Shares the base, which stays as it is and has none. Throws
// Error: an adapter of another model, a value that is not finite in fp32, out of memory.
std::shared_ptr<const ModelWeights> WithAdapters(std::shared_ptr<const ModelWeights> base,
                                                 std::span<const AdapterChoice> adapters);

}  // namespace stablelm
