#include "train/run_log.h"

namespace stablelm {

JsonValue StepJson(const StepLog& step) {
  JsonValue object = {{"event", "step"},
                      {"step", step.step},
                      {"steps", step.steps},
                      {"epoch", step.epoch},
                      {"loss", step.loss},
                      {"smoothed_loss", step.smoothed_loss},
                      {"rate", step.rate},
                      {"gradient_norm", step.gradient_norm},
                      {"loss_scale", step.loss_scale},
                      {"tokens", step.tokens},
                      {"loss_tokens", step.loss_tokens},
                      {"skipped", step.skipped}};
  if (step.skipped) object["overflow"] = step.overflow;
  object["seconds"] = step.seconds;
  if (step.checkpoint_wait > 0) object["waited_s"] = step.checkpoint_wait;
  object["tokens_per_s"] = step.TokensPerSecond();
  object["memory_bytes"] = step.memory_bytes;
  return object;
}

}  // namespace stablelm
