// Loads LoRA adapters and adds them to a model's weights.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/adapter/adapter_folder.h"
#include "model/model_weights.h"

namespace stablelm {

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
