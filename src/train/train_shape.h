// The sizes and policies of training, from which all buffers and the memory plan are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "train/precision.h"

namespace stablelm {

// What the backward pass computes again instead of keeping it. The bits of the gradients are the same.
enum class Recompute : uint8_t {
  kNone,   // nothing
  kMlp,    // the hidden values of the MLP: 5 C instead of 9 C numbers kept for each row
  kLayer,  // the whole layer: C numbers kept for each row
};
constexpr std::string_view NameOf(Recompute recompute) {
  return recompute == Recompute::kNone ? "none" : recompute == Recompute::kMlp ? "mlp" : "layer";
}

inline constexpr Recompute kRecomputes[] = {Recompute::kNone, Recompute::kMlp, Recompute::kLayer};

struct TrainShape {
  int64_t max_tokens = 0;     // tokens of one micro-batch
  int64_t max_documents = 0;  // documents of one micro-batch; 0: max_tokens
  Precision precision = Precision::kF32;
  Recompute recompute = Recompute::kNone;
  size_t threads = 1;
  int64_t adapter_rank = 0;      // of the adapters that are trained; 0: none are
  bool adapter_dropout = false;  // their input is dropped out

  int64_t documents() const { return max_documents > 0 ? max_documents : max_tokens; }
};

// Rows whose logits are computed together. Every chunk of rows reads and writes the gradient of the output matrix
// once, 8 bytes for each element, beside 6 operations for each element and row: with 512 rows, under 10 % of the time
// of the products on a machine with up to 38 operations for each byte that memory delivers.
inline constexpr int64_t kLossRows = 512;

}  // namespace stablelm
