// Rows of a parameter in the order of Hugging Face's files, whatever their order in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "train/parameters.h"

namespace stablelm {

// A vector is one row. The parameters outlive it. Threads may use disjoint rows concurrently.
class FileRows {
 public:
  FileRows(const Parameters& parameters, size_t entry);

  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }
  // `array`: the masters, the gradients or a moment; empty: the masters, or the weights of an entry that is not
  // trained.
  void Read(std::span<const float> array, int64_t row, float* out) const;
  // Sets a row of an array of a trained entry.
  void Set(std::span<float> array, int64_t row, const float* values) const;

 private:
  int64_t InMemory(int64_t i) const;

  const Parameters& parameters_;
  const size_t entry_;
  const int64_t rows_, width_;
  const bool reorder_rows_, reorder_elements_;
};

}  // namespace stablelm
