// Makes GGUF files from model folders, for tests of the GGUF readers.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/rewrite/gguf_metadata.h"
#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {

// Writes the model in `folder` as the GGUF file `path`, with matrices as stored. `change` may modify the metadata
// first.
inline void WriteGgufOf(const std::filesystem::path& folder, const std::filesystem::path& path,
                        const std::function<void(GgufMetadata&)>& change = {}) {
  const auto model = ModelFolder::Open(folder.string());
  std::vector<GgufTensorEntry> tensors;
  std::vector<DType> types;
  for (size_t i = 0; i < model->table().size(); ++i) {
    const WeightEntry& entry = model->table()[i];
    types.push_back(entry.IsMatrix() ? *model->TensorOf(i).dtype : DType::kF32);
    tensors.push_back({GgufTensorName(entry), types.back(), entry.shape});
  }
  GgufMetadata metadata = GgufMetadataOf(*model);
  if (change) change(metadata);
  std::filesystem::remove(path);
  GgufWriter writer(path, metadata, tensors);
  ThreadPool pool(2);
  CopyTensors(
      *model, {.types = types, .qkv_order = QkvOrder::kStacked, .pool = &pool},
      [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); });
  writer.Commit();
}

}  // namespace stablelm
