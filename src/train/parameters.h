// The parameters of a model that is being trained, and what training keeps for each: gradient and two moments.
//
// A trained parameter has an fp32 master. In fp32 the masters are the weights that the model computes with. In 16 bits
// the model computes with rounded copies, which RoundWeights renews after every update. A parameter that is not trained
// has its weights alone. A LoRA run trains adapters over a base that was loaded as for generation (model/load.h), in
// any type: it stays as it is, and has neither master nor gradient nor moments. Nothing is repacked between steps:
// weights() are views that stay valid, so generation, scoring and validation run on weights that are being trained,
// without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "model/model_weights.h"
#include "train/parameter_table.h"
#include "train/precision.h"

namespace stablelm {

// Bytes of each buffer, for the plan.
struct ParameterBytes {
  uint64_t masters = 0, gradients = 0, moments = 0;
  uint64_t weights = 0;  // that are not masters: 16-bit copies, parameters that are not trained
};

// Not copied, not moved: weights() point into it. One thread at a time may change it, while nothing reads weights().
class Parameters {
 public:
  // All zero. qkv_order: of the rows of query_key_value in what will be set. Throws Error when the memory is not there.
  Parameters(const ModelConfig& config, ParameterTable table, Precision precision, QkvOrder qkv_order);
  // Adapters over `base`, all zero; `table` was made for LoRA. Their products are in fp32.
  Parameters(std::shared_ptr<const ModelWeights> base, ParameterTable table, QkvOrder qkv_order);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  static ParameterBytes Bytes(const ParameterTable& table, Precision precision);

  const ModelConfig& config() const { return config_; }
  const ParameterTable& table() const { return table_; }
  Precision precision() const { return precision_; }
  QkvOrder qkv_order() const { return qkv_order_; }

  // [table().trained_size()]
  std::span<float> masters() { return masters_.span(); }
  std::span<float> gradients() { return gradients_.span(); }
  std::span<float> first_moments() { return first_moments_.span(); }
  std::span<float> second_moments() { return second_moments_.span(); }
  std::span<const float> masters() const { return masters_.span(); }
  std::span<const float> first_moments() const { return first_moments_.span(); }
  std::span<const float> second_moments() const { return second_moments_.span(); }
  // The gradient of a parameter, null when it is not trained.
  float* GradientOf(WeightKind kind, int32_t layer);
  float* GradientOf(WeightKind kind, int32_t layer, AdapterPart part);

  // What the model computes with. Views of this object, which must outlive them.
  const std::shared_ptr<const ModelWeights>& weights() const { return weights_; }

  // Sets elements of entry `entry` from position `first` of its C order. Threads may set disjoint ranges concurrently.
  // Follow with RoundWeights.
  void Set(size_t entry, size_t first, std::span<const float> values);
  // Sets whole rows of a matrix, or a vector; for packed matrices fastest with whole panels.
  void SetRows(size_t entry, int64_t first, std::span<const float> rows);
  // Row `row` of entry `entry` as fp32: of the master, or of the weights of a parameter that is not trained.
  void ReadRow(size_t entry, int64_t row, float* out) const;

  // The same of an array with the layout of the masters: masters, gradients, a moment. The entry is trained.
  void ReadRow(std::span<const float> array, size_t entry, int64_t row, float* out) const;
  // Sets row `row` of such an array.
  void SetRow(std::span<float> array, size_t entry, int64_t row, const float* values) const;

  // Renews the rounded weights of elements [begin, end) of the masters. Multiples of kParameterAlignment, or the end.
  // Threads may round disjoint ranges concurrently. Does nothing in fp32.
  void RoundWeights(size_t begin, size_t end);

 private:
  struct Place {        // of an entry's weights, where they are not the master
    size_t offset = 0;  // in weights_store_, in bytes
    size_t bytes = 0;
    DType type = DType::kF32;
    Compute compute = Compute::kExact;
  };
  static std::vector<Place> PlacesOf(const ParameterTable& table, Precision precision);
  bool UsesMaster(const Parameter& entry) const { return entry.trained && precision_ == Precision::kF32; }
  std::byte* WeightsOf(size_t entry);
  const std::byte* WeightsOf(size_t entry) const { return const_cast<Parameters*>(this)->WeightsOf(entry); }
  std::shared_ptr<const ModelWeights> MakeViews();
  // The base with the adapters.
  std::shared_ptr<const ModelWeights> MakeAdaptedViews(const std::shared_ptr<const ModelWeights>& base) const;

  const ModelConfig config_;
  const ParameterTable table_;
  const Precision precision_;
  const QkvOrder qkv_order_;
  const std::vector<Place> places_;  // [table]
  AlignedBuffer<float> masters_, gradients_, first_moments_, second_moments_;
  AlignedBuffer<std::byte> weights_store_;
  std::shared_ptr<const ModelWeights> weights_;
};

}  // namespace stablelm
