// Merges LoRA adapters into the matrices of a model: W + s B A, in fp32, summed over the adapters in their order.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {

// The adapters' matrices in fp32, to be added to rows as they are copied. Immutable; threads may share it.
class AdapterMerge {
 public:
  // Reads all matrices. Throws Error: an adapter of another model, a value that is not finite in fp32.
  AdapterMerge(const ModelFolder& model, std::span<const AdapterChoice> adapters);

  // Whether it changes entry `entry` of the model's table.
  bool Changes(size_t entry) const { return updates_.contains(entry); }
  // Adds to row `row` of the entry, QKV rows in the order of the model's files.
  void AddTo(size_t entry, int64_t row, std::span<float> values) const;

  // For CopyTensors. The object must outlive it.
  RowChange Change() const;

 private:
  struct Update {
    std::vector<float> a, b;  // [r, K], [N, r]
    size_t rank = 0;
    float scale = 1;
  };
  const ModelFolder& model_;
  std::map<size_t, std::vector<Update>> updates_;  // by entry
};

}  // namespace stablelm
