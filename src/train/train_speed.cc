#include "train/train_speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/random.h"

namespace stablelm {
namespace {

// Random documents of one step.
struct RandomBatch {
  std::vector<int32_t> tokens, targets;
  std::vector<TrainDocument> documents;
  std::vector<TrainBatch> micro_batches;
};

RandomBatch MakeBatch(const ModelConfig& config, const TrainSpeedCase& of) {
  const Philox random(1);
  const auto draw = [&](uint64_t stream, size_t i) {
    return static_cast<int32_t>(random.Uniform(stream, i) * static_cast<double>(config.vocab_size));
  };
  RandomBatch batch;
  const size_t n = static_cast<size_t>(of.TokensPerStep()), length = static_cast<size_t>(of.length);
  for (size_t i = 0; i < n; ++i) {
    batch.tokens.push_back(draw(0, i));
    batch.targets.push_back(random.Uniform(2, i) < of.targets ? draw(1, i) : kNoTarget);
  }
  for (size_t begin = 0; begin < n; begin += length) {
    batch.documents.push_back(
        {std::span(batch.tokens).subspan(begin, length), std::span(batch.targets).subspan(begin, length)});
  }
  const size_t each = static_cast<size_t>(of.documents);
  for (size_t d = 0; d < batch.documents.size(); d += each) {
    batch.micro_batches.push_back(std::span(batch.documents).subspan(d, each));
  }
  return batch;
}

}  // namespace

double TrainFlops(const ModelConfig& c, const ParameterTable& table, const TrainSpeedCase& of) {
  const double tokens = static_cast<double>(of.TokensPerStep()), width = static_cast<double>(c.hidden_size);
  const int64_t lowest = std::max<int64_t>(0, table.lowest_trained_layer());
  if (of.targets == 0) return 0;
  double flops = 0;
  for (const Parameter& p : table.entries()) {
    if (p.part != AdapterPart::kNone) {
      flops += 6 * tokens * static_cast<double>(p.weight.shape.NumElements());
      continue;
    }
    const bool output =
        p.weight.kind == WeightKind::kOutput || (p.weight.kind == WeightKind::kEmbedding && c.tie_word_embeddings);
    if (!p.weight.IsMatrix() || (p.weight.kind == WeightKind::kEmbedding && !output)) continue;
    const double product = 2 * tokens * (output ? of.targets : 1) * static_cast<double>(p.weight.shape.NumElements());
    const bool propagates = output || p.weight.layer >= lowest;
    flops += product * (1 + (propagates ? 1 : 0) + (p.trained ? 1 : 0));
  }
  // A row attends to itself and all before it, for scores and for values; the backward pass counts twice.
  const double attention = tokens * 4 * width * static_cast<double>(of.length + 1) / 2;
  return flops + attention * static_cast<double>(c.n_layers + 2 * std::max<int64_t>(0, c.n_layers - lowest));
}

TrainSpeedResult MeasureTraining(Parameters& parameters, TrainingStep& step, const TrainSpeedCase& of, uint64_t samples,
                                 const std::function<void()>& before_step) {
  constexpr double kRate = 1e-5;
  const RandomBatch batch = MakeBatch(parameters.config(), of);
  TrainSpeedResult result;
  const auto seconds_of = [&](StepTimer* timer) {
    if (before_step) before_step();
    const auto start = std::chrono::steady_clock::now();
    const StepResult made = step.Run(batch.micro_batches, kRate, {}, timer);
    result.loss = made.loss;
    ++result.steps;
    if (made.skipped) {
      ++result.skipped;
      result.overflow = made.overflow;
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds_of(nullptr);
  std::vector<double> seconds, speeds;
  for (uint64_t sample = 0; sample < samples; ++sample) {
    seconds.push_back(seconds_of(nullptr));
    speeds.push_back(static_cast<double>(of.TokensPerStep()) / seconds.back());
  }
  result.seconds = Summarize(seconds);
  result.tokens_per_s = Summarize(speeds);
  result.flops = TrainFlops(parameters.config(), parameters.table(), of);
  StepTimer timer;
  double rest = seconds_of(&timer);
  for (size_t part = 0; part < kStepPartNames.size(); ++part) {
    const double of_part = timer.seconds(static_cast<StepPart>(part));
    result.ms[kStepPartNames[part]] = 1000 * of_part;
    rest -= of_part;
  }
  result.ms["rest"] = 1000 * rest;
  return result;
}

}  // namespace stablelm
