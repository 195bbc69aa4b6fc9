// Helpers for tests of training: parameters from a folder, batches, whole steps.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/model_folder.h"
#include "model/load.h"
#include "test_paths.h"
#include "train/load_parameters.h"
#include "train/training_step.h"

namespace stablelm {

// Documents that own their ids.
struct OwnedBatch {
  std::vector<std::vector<int32_t>> tokens, targets;
  std::vector<TrainDocument> documents;

  void Add(std::vector<int32_t> ids, std::vector<int32_t> wanted) {
    tokens.push_back(std::move(ids));
    targets.push_back(std::move(wanted));
    documents.clear();
    for (size_t i = 0; i < tokens.size(); ++i) documents.push_back({tokens[i], targets[i]});
  }
  // Every token predicts the next, the last none.
  void AddText(std::vector<int32_t> ids) {
    std::vector<int32_t> wanted(ids.begin() + 1, ids.end());
    wanted.push_back(kNoTarget);
    Add(std::move(ids), std::move(wanted));
  }
  TrainBatch batch() const { return documents; }
};

inline std::vector<int32_t> RandomIds(size_t n, int64_t vocab_size, uint64_t seed) {
  const Philox philox(seed);
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) {
    ids[i] = static_cast<int32_t>(philox.Uniform(0, i) * static_cast<double>(vocab_size));
  }
  return ids;
}

inline ModelConfig GoldenConfig(const std::string& name) {
  return ModelFolder::Open(TestData("golden/" + name))->config();
}

inline std::unique_ptr<Parameters> LoadFolder(const std::filesystem::path& folder, ThreadPool& pool,
                                              Precision precision = Precision::kF32,
                                              std::vector<std::string> trained = {}) {
  const auto opened = ModelFolder::Open(folder.string());
  auto parameters = std::make_unique<Parameters>(opened->config(), ParameterTable(opened->config(), trained), precision,
                                                 opened->qkv_order());
  LoadParameters(*opened, *parameters, pool);
  return parameters;
}

// Adapters over a model that was loaded as for generation; A is drawn, B is zero.
inline std::unique_ptr<Parameters> LoadAdapted(const std::filesystem::path& folder, const LoraOptions& lora,
                                               ThreadPool& pool, const LoadOptions& options = {}) {
  const auto opened = ModelFolder::Open(folder.string());
  auto parameters = std::make_unique<Parameters>(LoadWeights(opened, options), ParameterTable(opened->config(), lora),
                                                 opened->qkv_order());
  DrawAdapters(*parameters, pool);
  return parameters;
}

inline constexpr WeightKind kAllLoraTargets[] = {WeightKind::kQkvWeight, WeightKind::kAttnOutWeight,
                                                 WeightKind::kMlpUpWeight, WeightKind::kMlpDownWeight};
inline LoraOptions LoraOf(int64_t rank, double alpha, double dropout = 0) {
  return {.rank = rank,
          .alpha = alpha,
          .dropout = dropout,
          .seed = 3,
          .targets = {std::begin(kAllLoraTargets), std::end(kAllLoraTargets)}};
}

// The shape of passes over `batch`.
inline TrainShape ShapeOf(const Parameters& parameters, TrainBatch batch, size_t threads,
                          Recompute recompute = Recompute::kNone) {
  const std::optional<LoraOptions>& lora = parameters.table().lora();
  return {.max_tokens = CountTokens(batch),
          .precision = parameters.precision(),
          .recompute = recompute,
          .threads = threads,
          .adapter_rank = lora ? lora->rank : 0,
          .adapter_dropout = lora && lora->dropout > 0};
}

inline std::unique_ptr<Parameters> RandomParameters(const ModelConfig& config, ThreadPool& pool, uint64_t seed = 1,
                                                    Precision precision = Precision::kF32) {
  auto parameters = std::make_unique<Parameters>(config, ParameterTable(config), precision, QkvOrder::kPerHead);
  DrawParameters(seed, *parameters, pool);
  return parameters;
}

// A value of each flat array as a tensor in C order: of the masters, the gradients or a moment.
inline std::vector<float> InRows(const Parameters& parameters, std::span<const float> flat, size_t entry) {
  const Parameter& p = parameters.table().entries()[entry];
  const bool matrix = p.weight.IsMatrix();
  const size_t columns = static_cast<size_t>(p.weight.shape[matrix ? 1 : 0]);
  const size_t rows = matrix ? static_cast<size_t>(p.weight.shape[0]) : 1;
  std::vector<float> out(rows * columns);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < columns; ++k) {
      const size_t at = p.packed ? (r / kPanelRows * columns + k) * kPanelRows + r % kPanelRows : r * columns + k;
      out[r * columns + k] = flat[p.offset + at];
    }
  }
  return out;
}

// batches.safetensors of a golden folder: tokens and labels [steps, sequences, T]: the label of a position is the token
// there, or -100.
inline std::vector<OwnedBatch> ReadBatches(const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / "batches.safetensors");
  const TensorView tokens = file.Get("tokens"), labels = file.Get("labels");
  const auto id = [](const TensorView& view, int64_t at) {
    if (view.dtype == DType::kI64) {
      int64_t value;
      std::memcpy(&value, view.data + at * 8, 8);
      return static_cast<int32_t>(value);
    }
    int32_t value;
    std::memcpy(&value, view.data + at * 4, 4);
    return value;
  };
  const int64_t length = tokens.shape[2];
  std::vector<OwnedBatch> steps(static_cast<size_t>(tokens.shape[0]));
  for (int64_t step = 0; step < tokens.shape[0]; ++step) {
    for (int64_t row = 0; row < tokens.shape[1]; ++row) {
      std::vector<int32_t> ids, targets;
      const int64_t begin = (step * tokens.shape[1] + row) * length;
      for (int64_t t = 0; t < length; ++t) {
        ids.push_back(id(tokens, begin + t));
        const int32_t label = t + 1 < length ? id(labels, begin + t + 1) : -100;
        targets.push_back(label == -100 ? kNoTarget : label);
      }
      steps[static_cast<size_t>(step)].Add(std::move(ids), std::move(targets));
    }
  }
  return steps;
}

}  // namespace stablelm
