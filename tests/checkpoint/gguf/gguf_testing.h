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

// Writes the GGUF file `file` as `n` parts NAME-00001-of-0000N.gguf in `folder`, as gguf-split does: all keys in the
// first part, the tensors in order, about as many in each. Returns the paths. `change` may modify the metadata of a
// part (from 1) first.
inline std::vector<std::filesystem::path> WriteGgufParts(
    const std::filesystem::path& file, const std::filesystem::path& folder, const std::string& name, size_t n,
    const std::function<void(size_t part, GgufMetadata&)>& change = {}) {
  const GgufFile whole(file);
  const std::vector<StoredTensor>& tensors = whole.header().tensors;
  std::filesystem::create_directories(folder);
  const auto five_digits = [](size_t number) { return std::to_string(100'000 + number).substr(1); };
  std::vector<std::filesystem::path> paths;
  for (size_t part = 0; part < n; ++part) {
    GgufMetadata metadata;
    if (part == 0) {
      for (const GgufEntry& entry : whole.header().entries) metadata.Copy(entry);
    }
    metadata.Set<uint16_t>("split.no", static_cast<uint16_t>(part));
    metadata.Set<uint16_t>("split.count", static_cast<uint16_t>(n));
    metadata.Set<int32_t>("split.tensors.count", static_cast<int32_t>(tensors.size()));
    if (change) change(part + 1, metadata);
    const size_t begin = tensors.size() * part / n, end = tensors.size() * (part + 1) / n;
    std::vector<GgufTensorEntry> entries;
    for (size_t i = begin; i < end; ++i) entries.push_back({tensors[i].name, *tensors[i].dtype, tensors[i].shape});
    paths.push_back(folder / (name + "-" + five_digits(part + 1) + "-of-" + five_digits(n) + ".gguf"));
    GgufWriter writer(paths.back(), metadata, entries);
    for (size_t i = begin; i < end; ++i) {
      writer.WriteAt(i - begin, 0, whole.map().bytes().subspan(tensors[i].offset, tensors[i].bytes));
    }
    writer.Commit();
  }
  return paths;
}

}  // namespace stablelm
