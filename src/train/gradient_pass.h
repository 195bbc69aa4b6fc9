// Forward and backward pass of one micro-batch: the losses, and the gradients of all trained parameters.
//
// The forward pass is that of generation, with its bits (model/block.h): only the places of the activations differ.
// The backward pass is its mirror. Results depend neither on threads nor on the recompute policy.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/thread_pool.h"
#include "model/pass_hooks.h"
#include "ops/execution_context.h"
#include "train/activation_store.h"
#include "train/gradient_observer.h"
#include "train/loss.h"
#include "train/parameters.h"
#include "train/train_batch.h"
#include "train/train_shape.h"

namespace stablelm {

struct GradientPassInput {
  TrainBatch batch;
  // Of the gradient: loss scale / loss tokens of the whole optimizer step.
  double scale = 1;
  // Gradients of parameters += instead of =: from the second micro-batch of a step on.
  bool add = false;
  // Of dropout: number of the optimizer's step, and of the batch's first token in the step.
  uint64_t step = 0, first_token = 0;
  // observer sees the steps of the forward pass; leave is called before each layer, both ways.
  PassHooks hooks = {};
  GradientObserver* gradient_observer = nullptr;
  StepTimer* timer = nullptr;
};

// All buffers are allocated by the constructor; a pass allocates nothing. Parameters and pool outlive it. One thread at
// a time.
class GradientPass {
 public:
  // Throws Error when the memory is not there.
  GradientPass(Parameters& parameters, const TrainShape& shape, ThreadPool& pool);
  // Scratch of the kernels.
  static uint64_t ScratchBytes(const ModelConfig& config, const TrainShape& shape);

  const TrainShape& shape() const { return shape_; }
  ExecutionContext& exec() { return exec_; }

  // Throws Error for a batch that CheckBatch refuses with these sizes.
  void Check(TrainBatch batch) const;

  // Losses of all loss tokens in order (valid until the next pass), and the gradients in the parameters. A batch
  // without targets has no losses and gradients of zero. Throws Error for a batch that CheckBatch refuses, Cancelled
  // when hooks.leave says so; gradients are then undefined.
  std::span<const double> Run(const GradientPassInput& in);
  // The losses alone.
  std::span<const double> Losses(TrainBatch batch, const PassHooks& hooks = {});

  // Ranges of elements of the gradients in the order in which they become final during the last micro-batch: the
  // output matrix and the final norm, the layers from the last to the first, the embedding. Tied weights become final
  // with the embedding.
  struct Range {
    size_t begin = 0, end = 0;
  };
  static std::vector<Range> FinalOrder(const ParameterTable& table, const ModelConfig& config);

 private:
  void Place(TrainBatch batch);
  // With `train`, adapters have their dropout.
  void Forward(const GradientPassInput& in, bool train);
  BlockInput LayerInput(int64_t layer, ForwardObserver* observer);
  // Computes again what the recompute policy did not keep of a layer.
  void Recompute(int64_t layer, StepTimer* timer);
  std::span<const double> Loss(const GradientPassInput& in);
  void Backward(const GradientPassInput& in);
  BlockGradients GradientsOf(int32_t layer);

  Parameters& parameters_;
  const TrainShape shape_;
  const ModelConfig& config_;
  ExecutionContext exec_;
  ActivationStore store_;
  LossPass loss_;
  AdapterDropout dropout_;          // of the batch
  bool dropping_ = false;           // whether the pass has dropout
  int64_t rows_ = 0;                // of the batch
  std::vector<int32_t> ids_;        // of the batch
  std::vector<int32_t> ids_order_;  // scratch of the embedding's gradient
};

}  // namespace stablelm
