#include "train/train_plan.h"

#include "ops/rotary.h"
#include "train/activation_store.h"
#include "train/gradient_pass.h"
#include "train/loss.h"
#include "train/parameters.h"

namespace stablelm {

MemoryPlan PlanTraining(const ModelConfig& config, const ParameterTable& table, const TrainShape& shape) {
  const ParameterBytes bytes = Parameters::Bytes(table, shape.precision);
  MemoryPlan plan;
  const auto add = [&](std::string name, uint64_t n) {
    if (n > 0) plan.parts.push_back({std::move(name), n, false});
  };
  add("weights (" + std::string(NameOf(shape.precision)) + ")", bytes.weights);
  add("master weights", bytes.masters);
  add("gradients", bytes.gradients);
  add("moments of AdamW", bytes.moments);
  add("activations kept (recompute " + std::string(NameOf(shape.recompute)) + ")",
      ActivationStore::KeptBytes(config, shape));
  add("activations shared by the layers", ActivationStore::SharedBytes(config, shape));
  add("keys and values of one layer", ActivationStore::PageBytes(config, shape));
  add("logits", LossPass::LogitBytes(config, shape) + LossPass::RowBytes(config, shape));
  add("kernel scratch and tables",
      GradientPass::ScratchBytes(config, shape) + RotaryTable::Bytes(config.rotary_dims, config.max_positions));
  return plan;
}

}  // namespace stablelm
