#include "train/train_plan.h"

#include "base/error.h"
#include "ops/rotary.h"
#include "train/activation_store.h"
#include "train/gradient_pass.h"
#include "train/loss.h"
#include "train/parameters.h"

namespace stablelm {

MemoryPlan PlanTraining(const ModelConfig& config, const ParameterTable& table, const TrainShape& shape,
                        const std::optional<WeightBytes>& base) {
  STABLELM_CHECK(table.lora().has_value() == base.has_value());
  const ParameterBytes bytes = Parameters::Bytes(table, shape.precision);
  MemoryPlan plan;
  const auto add = [&](std::string name, uint64_t n) {
    if (n > 0) plan.parts.push_back({std::move(name), n, false});
  };
  const uint64_t rotary = RotaryTable::Bytes(config.rotary_dims, config.max_positions);
  if (base) {
    if (base->mapped > 0) plan.parts.push_back({"weights of the base (mapped files)", base->mapped, true});
    add("weights of the base", base->allocated);
  }
  add("weights (" + std::string(NameOf(shape.precision)) + ")", bytes.weights);
  add(base ? "adapters" : "master weights", bytes.masters);
  add("gradients", bytes.gradients);
  add("moments of AdamW", bytes.moments);
  add("activations kept (recompute " + std::string(NameOf(shape.recompute)) + ")",
      ActivationStore::KeptBytes(config, shape));
  add("activations shared by the layers", ActivationStore::SharedBytes(config, shape));
  add("keys and values of one layer", ActivationStore::PageBytes(config, shape));
  add("logits", LossPass::LogitBytes(config, shape) + LossPass::RowBytes(config, shape));
  add("kernel scratch and tables", GradientPass::ScratchBytes(config, shape) + (base ? 2 : 1) * rotary);
  return plan;
}

}  // namespace stablelm
