#include "train/file_rows.h"

#include <vector>

#include "checkpoint/rewrite/tensor_copy.h"

namespace stablelm {
namespace {

const WeightEntry& EntryOf(const Parameters& parameters, size_t entry) {
  return parameters.table().entries()[entry].weight;
}

bool Reorders(const Parameters& parameters, size_t entry, WeightKind kind) {
  // The rows of an adapter's A are those of the rank.
  if (parameters.table().entries()[entry].part == AdapterPart::kA) return false;
  return parameters.qkv_order() != QkvOrder::kPerHead && EntryOf(parameters, entry).kind == kind;
}

}  // namespace

FileRows::FileRows(const Parameters& parameters, size_t entry)
    : parameters_(parameters),
      entry_(entry),
      rows_(EntryOf(parameters, entry).IsMatrix() ? EntryOf(parameters, entry).shape[0] : 1),
      width_(EntryOf(parameters, entry).shape[EntryOf(parameters, entry).IsMatrix() ? 1 : 0]),
      reorder_rows_(Reorders(parameters, entry, WeightKind::kQkvWeight)),
      reorder_elements_(Reorders(parameters, entry, WeightKind::kQkvBias)) {}

int64_t FileRows::InMemory(int64_t i) const {
  return QkvRow(parameters_.config(), parameters_.qkv_order(), QkvOrder::kPerHead, i);
}

void FileRows::Read(std::span<const float> array, int64_t row, float* out) const {
  const int64_t from = reorder_rows_ ? InMemory(row) : row;
  const auto read = [&](float* to) {
    if (array.empty()) {
      parameters_.ReadRow(entry_, from, to);
    } else {
      parameters_.ReadRow(array, entry_, from, to);
    }
  };
  if (!reorder_elements_) return read(out);
  std::vector<float> in_memory(static_cast<size_t>(width_));
  read(in_memory.data());
  for (int64_t i = 0; i < width_; ++i) out[i] = in_memory[static_cast<size_t>(InMemory(i))];
}

void FileRows::Set(std::span<float> array, int64_t row, const float* values) const {
  const int64_t to = reorder_rows_ ? InMemory(row) : row;
  if (!reorder_elements_) return parameters_.SetRow(array, entry_, to, values);
  std::vector<float> in_memory(static_cast<size_t>(width_));
  for (int64_t i = 0; i < width_; ++i) in_memory[static_cast<size_t>(InMemory(i))] = values[i];
  parameters_.SetRow(array, entry_, to, in_memory.data());
}

}  // namespace stablelm
