// Predicts the memory of a training run, part by part, before anything is allocated.
#pragma once

#include "checkpoint/describe/config.h"
#include "model/memory_plan.h"
#include "train/parameter_table.h"
#include "train/train_shape.h"

namespace stablelm {

MemoryPlan PlanTraining(const ModelConfig& config, const ParameterTable& table, const TrainShape& shape);

}  // namespace stablelm
