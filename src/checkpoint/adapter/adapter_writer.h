// Writes a LoRA adapter in PEFT's layout: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "base/dtype.h"
#include "checkpoint/adapter/adapter_config.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"

namespace stablelm {

struct MatrixToAdapt {
  WeightEntry entry;  // the matrix [N, K] that A [r, K] and B [N, r] change
  // Reads row `row` of A [K] or B [r].
  std::function<void(int64_t row, float*out)> read_a, read_b;
};

struct AdapterToWrite {
  ModelConfig model;
  AdapterConfig config;  // targets: the names of the matrices' modules
  std::span<const MatrixToAdapt> matrices;
  DType type = DType::kF32;                 // kF32, kF16 or kBF16
  QkvOrder qkv_order = QkvOrder::kPerHead;  // of the rows that read_b gives; the file's are per head
};

// Writes both files into `folder`, which exists. `shown`: the folder that errors name, where `folder` is a temporary
// one (base/new_folder.h). The same values give the same bytes. Throws Error: no room, values beyond the range of
// `type`.
void WriteAdapter(const std::filesystem::path& folder, const AdapterToWrite& adapter,
                  const std::filesystem::path& shown = {});

}  // namespace stablelm
