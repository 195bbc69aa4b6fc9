// One optimizer step: gradients of all micro-batches, their norm, clipping, the update, the loss scale.
//
// The loss is the mean over the loss tokens of the whole step. With fp16 a loss scale multiplies the gradient
// (train/loss_scale.h): a step whose gradient overflows changes nothing but the scale, and its data is not used again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "model/pass_hooks.h"
#include "train/gradient_pass.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/parameters.h"

namespace stablelm {

struct StepResult {
  double loss = 0;  // mean over the loss tokens; 0 when there are none
  int64_t loss_tokens = 0;
  int64_t tokens = 0;
  double gradient_norm = 0;                 // before clipping, without the loss scale; not finite after an overflow
  double loss_scale = 1;                    // that the step used
  bool skipped = false;                     // nothing was updated: overflow, or before_update said no
  std::string overflow;                     // where it began, when skipped
  std::span<const double> document_losses;  // sum over the loss tokens of each document; valid until the next step
};

// A value of a step in fp32 or bf16 is not finite, so that no update was made.
class NonFiniteStep : public Error {
 public:
  NonFiniteStep(ErrorInfo info, StepResult result) : Error(std::move(info)), result_(std::move(result)) {}
  // skipped, with the place as `overflow`, and no document_losses.
  const StepResult& result() const { return result_; }

 private:
  StepResult result_;
};

using BeforeUpdate = std::function<std::optional<double>(const StepResult&)>;

class TrainingStep {
 public:
  // Parameters and pool outlive it. loss_scale: used with fp16 only. Throws Error when the memory is not there.
  TrainingStep(Parameters& parameters, const TrainShape& shape, const OptimizerOptions& optimizer,
               const LossScaleOptions& loss_scale, ThreadPool& pool);

  // Computes the gradients and updates the parameters. Throws Error for bad batches; NonFiniteStep when a value is not
  // finite in fp32 or bf16, naming layer, module and document; Error when the loss scale cannot go lower; throws
  // Cancelled when hooks.leave says so. After an exception the parameters are unchanged.
  //
  // before_update (optional) is called once the gradient is there and finite, with all but document_losses that the
  // result will have. The parameters are unchanged until it returns: the rate to update with, or none, which skips the
  // update. It may throw.
  StepResult Run(std::span<const TrainBatch> micro_batches, double rate, const PassHooks& hooks = {},
                 StepTimer* timer = nullptr, const BeforeUpdate& before_update = {});

  // Continues from a checkpoint. Throws Error when the loss scaler cannot be in this state.
  void Restore(int64_t updates, const LossScaleState& loss_scale);
  // Number of updates so far: what the schedule counts.
  int64_t updates() const { return updates_; }
  GradientPass& pass() { return pass_; }
  Optimizer& optimizer() { return optimizer_; }
  const LossScaler& loss_scale() const { return loss_scale_; }

 private:
  void RequireGoodBatches(std::span<const TrainBatch> micro_batches) const;
  // Sums of the losses of documents, from the losses of tokens in order.
  void AddDocumentLosses(TrainBatch batch, std::span<const double> losses);
  // Repeats the passes, watched, and says where the first value that is not finite appears.
  std::string FindNonFinite(std::span<const TrainBatch> micro_batches, double scale);

  Parameters& parameters_;
  GradientPass pass_;
  Optimizer optimizer_;
  LossScaler loss_scale_;
  int64_t updates_ = 0;
  std::vector<double> document_losses_;
};

}  // namespace stablelm
