#include "train/training_step.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/finite.h"
#include "train/finite_watch.h"

namespace stablelm {

TrainingStep::TrainingStep(Parameters& parameters, const TrainShape& shape, const OptimizerOptions& optimizer,
                           const LossScaleOptions& loss_scale, ThreadPool& pool)
    : parameters_(parameters),
      pass_(parameters, shape, pool),
      optimizer_(parameters, optimizer),
      loss_scale_(loss_scale) {}

void TrainingStep::Restore(int64_t updates, const LossScaleState& loss_scale) {
  loss_scale_.Restore(loss_scale);
  updates_ = updates;
}

// All of them before the first pass: a bad last one would waste the others.
void TrainingStep::RequireGoodBatches(std::span<const TrainBatch> micro_batches) const {
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    try {
      pass_.Check(micro_batches[i]);
    } catch (const Error& error) {
      if (micro_batches.size() == 1) throw;
      ErrorInfo info = error.info();
      info.where = "micro-batch " + std::to_string(i) + ", " + info.where;
      throw Error(std::move(info));
    }
  }
}

StepResult TrainingStep::Run(std::span<const TrainBatch> micro_batches, double rate, const PassHooks& hooks,
                             StepTimer* timer, const BeforeUpdate& before_update) {
  const bool scaled = parameters_.precision() == Precision::kF16;
  StepResult result;
  result.loss_scale = scaled ? loss_scale_.scale() : 1;
  RequireGoodBatches(micro_batches);
  for (const TrainBatch batch : micro_batches) {
    result.loss_tokens += CountTargets(batch);
    result.tokens += CountTokens(batch);
  }
  const double scale = result.loss_scale / static_cast<double>(std::max<int64_t>(1, result.loss_tokens));
  document_losses_.clear();
  uint64_t tokens = 0;
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    const std::span<const double> losses = pass_.Run({.batch = micro_batches[i],
                                                      .scale = scale,
                                                      .add = i > 0,
                                                      .step = static_cast<uint64_t>(updates_),
                                                      .first_token = tokens,
                                                      .hooks = hooks,
                                                      .timer = timer});
    AddDocumentLosses(micro_batches[i], losses);
    tokens += static_cast<uint64_t>(CountTokens(micro_batches[i]));
  }
  for (const double loss : document_losses_) result.loss += loss;
  result.loss /= static_cast<double>(std::max<int64_t>(1, result.loss_tokens));
  result.document_losses = document_losses_;
  const StepTimer::Span span(timer, StepPart::kUpdate);
  result.gradient_norm = optimizer_.GradientNorm(pass_.exec()) / result.loss_scale;

  const bool finite = std::isfinite(result.gradient_norm) && std::isfinite(result.loss);
  if (!finite) {
    const std::string place = FindNonFinite(micro_batches, scale);
    if (!scaled) {
      result.skipped = true;
      result.overflow = place;
      result.document_losses = {};
      throw NonFiniteStep(
          {.where = "training step " + std::to_string(updates_ + 1),
           .what = "the gradient is not finite",
           .found = "loss " + std::to_string(result.loss) + ", first at " + place,
           .expected = "finite values",
           .hint = "the run diverges: lower the rate, lengthen the warm-up, or clip the gradient harder; if it "
                   "is the first step, check the model with `stablelm score`"},
          result);
    }
    result.overflow = place;
  }
  if (scaled) loss_scale_.Update(!finite);
  const std::optional<double> decided = finite && before_update ? before_update(result) : rate;
  result.skipped = !finite || !decided;
  if (result.skipped) return result;
  ++updates_;
  const double clip = ClipFactor(result.gradient_norm, optimizer_.options().clip);
  optimizer_.Apply({.rate = *decided, .gradient_scale = clip / result.loss_scale, .t = updates_}, 0,
                   parameters_.table().trained_size(), pass_.exec());
  return result;
}

void TrainingStep::AddDocumentLosses(TrainBatch batch, std::span<const double> losses) {
  size_t next = 0;
  for (size_t d = 0; d < batch.size(); ++d) {
    double sum = 0;
    for (int64_t n = CountTargets(batch.subspan(d, 1)); n > 0; --n) sum += losses[next++];
    document_losses_.push_back(sum);
  }
}

std::string TrainingStep::FindNonFinite(std::span<const TrainBatch> micro_batches, double scale) {
  size_t documents = 0;
  uint64_t tokens = 0;
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    FiniteWatch watch(micro_batches[i], documents);
    pass_.Run({.batch = micro_batches[i],
               .scale = scale,
               .add = i > 0,
               .step = static_cast<uint64_t>(updates_),
               .first_token = tokens,
               .hooks = {.observer = &watch},
               .gradient_observer = &watch});
    if (!watch.place().empty()) return watch.place();
    documents += micro_batches[i].size();
    tokens += static_cast<uint64_t>(CountTokens(micro_batches[i]));
  }
  for (const Parameter& p : parameters_.table().entries()) {
    if (!p.trained) continue;
    const float* const gradient = parameters_.gradients().data() + p.offset;
    if (FirstNonFinite(gradient, p.size) < p.size) return "the gradient of " + p.weight.name;
  }
  return "nothing: a repetition gave finite values, which points to failing memory or hardware";
}

}  // namespace stablelm
