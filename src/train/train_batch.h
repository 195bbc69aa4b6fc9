// What one pass of a training step computes: whole documents, with the tokens that they should predict.
//
// Documents are packed one after another. Attention never crosses from one to another, and each has positions from 0.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/describe/config.h"

namespace stablelm {

inline constexpr int32_t kNoTarget = -1;

struct TrainDocument {
  std::span<const int32_t> tokens;   // at least one
  std::span<const int32_t> targets;  // [tokens]: the token that row i should predict, or kNoTarget
};

// A micro-batch. The spans must outlive the pass.
using TrainBatch = std::span<const TrainDocument>;

int64_t CountTokens(TrainBatch batch);
int64_t CountTargets(TrainBatch batch);  // tokens that bear loss

// Throws Error for ids outside the vocabulary, documents longer than the model's context, and batches of more than
// max_tokens or max_documents.
void CheckBatch(const ModelConfig& config, TrainBatch batch, int64_t max_tokens, int64_t max_documents);

}  // namespace stablelm
