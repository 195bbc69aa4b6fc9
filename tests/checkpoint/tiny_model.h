// A model of a few hundred parameters as a Hugging Face folder, which tests write and then damage.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace stablelm {

inline ModelConfig TinyConfig() {
  ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.n_layers = 2;
  config.n_heads = 2;
  config.intermediate_size = 12;
  config.max_positions = 16;
  config.rotary_share = 0.5;
  config.rotary_dims = 2;
  return config;
}

struct TinyTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<float> values;  // rounded to dtype when written; empty: TinyValue(0), TinyValue(1), ...
};

inline std::vector<TinyTensor> TinyTensors(const ModelConfig& config, DType dtype = DType::kF32) {
  std::vector<TinyTensor> tensors;
  for (const WeightEntry& entry : WeightTable(config)) tensors.push_back({entry.name, dtype, entry.shape, {}});
  return tensors;
}

inline float TinyValue(size_t i) { return static_cast<float>(i % 100 + 1) / 16; }

inline void WriteTinySafetensors(const std::filesystem::path& path, const std::vector<TinyTensor>& tensors) {
  std::vector<SafetensorsEntry> entries;
  for (const TinyTensor& tensor : tensors) entries.push_back({tensor.name, tensor.dtype, tensor.shape});
  SafetensorsWriter writer(path, entries);
  for (size_t t = 0; t < tensors.size(); ++t) {
    const size_t size = BytesOf(tensors[t].dtype);
    std::string bytes;
    for (size_t i = 0; i < writer.TensorBytes(t) / size; ++i) {
      const float value = tensors[t].values.empty() ? TinyValue(i) : tensors[t].values[i];
      const double wide = value;
      const F16 half = ToF16(value);
      const BF16 brain = ToBF16(value);
      const void* from = tensors[t].dtype == DType::kF32   ? static_cast<const void*>(&value)
                         : tensors[t].dtype == DType::kF64 ? static_cast<const void*>(&wide)
                         : tensors[t].dtype == DType::kF16 ? static_cast<const void*>(&half)
                                                           : static_cast<const void*>(&brain);
      bytes.append(static_cast<const char*>(from), size);
    }
    writer.WriteAt(t, 0, std::as_bytes(std::span(bytes)));
  }
  writer.Commit();
}

inline void WriteTinyModel(const std::filesystem::path& folder, const ModelConfig& config = TinyConfig()) {
  std::filesystem::create_directories(folder);
  WriteTextFileAtomically(folder / "config.json", WriteConfig(config, DType::kF32));
  WriteTinySafetensors(folder / "model.safetensors", TinyTensors(config));
}

}  // namespace stablelm
