// Predicts the memory of a training run, part by part, before anything is allocated.
#pragma once

#include <optional>

#include "checkpoint/describe/config.h"
#include "model/memory_plan.h"
#include "train/parameter_table.h"
#include "train/train_shape.h"

namespace stablelm {

// base: the weights below the adapters of a LoRA run (train/adapter_base.h).
MemoryPlan PlanTraining(const ModelConfig& config, const ParameterTable& table, const TrainShape& shape,
                        const std::optional<WeightBytes>& base = {});

}  // namespace stablelm
