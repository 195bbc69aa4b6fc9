// The state of AdamW on disk: optimizer.safetensors, fp32, with "first_moment.NAME" and "second_moment.NAME" of every
// trained parameter and, where the model's own file holds them rounded, "master.NAME". Rows are in Hugging Face's
// order, so the bytes depend on nothing but the values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/huggingface/safetensors_writer.h"
#include "train/parameters.h"

namespace stablelm {

inline constexpr const char* kOptimizerFile = "optimizer.safetensors";

class OptimizerFile {
 public:
  // The parameters outlive it.
  OptimizerFile(const Parameters& parameters, bool masters);

  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  uint64_t bytes() const;  // of all tensors
  // Writes every tensor, a panel of rows at a time. Nothing may change the parameters meanwhile. `on_piece` (optional)
  // is called before every piece and may throw to end it. Throws Error.
  void Write(SafetensorsWriter& writer, ThreadPool& pool, const std::function<void()>& on_piece = {}) const;
  // Sets the moments, and the masters if the file is to have them; does not round weights (Parameters::RoundWeights).
  // Throws Error for a tensor that is missing, has another type or shape, or does not belong to the parameters.
  void Load(const SafetensorsFile& file, const std::string& where, Parameters& parameters, ThreadPool& pool) const;

 private:
  enum class Array : uint8_t { kMaster, kFirstMoment, kSecondMoment };
  struct Tensor {
    size_t entry = 0;  // of the parameters' table
    Array array = Array::kMaster;
  };
  static std::span<const float> ArrayOf(const Parameters& parameters, Array array);

  const Parameters& parameters_;
  std::vector<SafetensorsEntry> entries_;
  std::vector<Tensor> tensors_;  // [entries_]
};

}  // namespace stablelm
