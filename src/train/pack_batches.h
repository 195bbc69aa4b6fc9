// From prepared data to the micro-batches of a run. Which packs a step takes follows from its number alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataset/token_shards.h"
#include "train/pack_order.h"
#include "train/train_batch.h"

namespace stablelm {

// How many packs a step takes: lanes * micro_batches * rows. A lane is a rank's share; there is one today.
struct StepShape {
  uint64_t rows = 1;           // packs of a micro-batch
  uint64_t micro_batches = 1;  // of a step and lane
  uint64_t lanes = 1;
  uint64_t packs() const { return rows * micro_batches * lanes; }
};

// Where a micro-batch stands in the run.
struct MicroStep {
  uint64_t step = 0;  // from 0
  uint64_t micro = 0;
  uint64_t lane = 0;
};

// The ids and targets of one micro-batch. Reused: after the first batch of a shape nothing is allocated.
class BatchBuffer {
 public:
  TrainBatch batch() const { return documents_; }

 private:
  friend class PackBatches;
  friend TrainBatch ReadPacks(const TokenShards&, std::span<const uint64_t>, BatchBuffer&);
  std::vector<int32_t> ids_, targets_;
  std::vector<uint8_t> bits_;
  std::vector<TrainDocument> documents_;
  std::vector<uint64_t> packs_;
};

// The documents of these packs in their order, those of a pack in theirs. targets[i] is ids[i + 1] where token i + 1 is
// to be learned, else kNoTarget. Throws Error for damaged shards.
TrainBatch ReadPacks(const TokenShards& shards, std::span<const uint64_t> packs, BatchBuffer& buffer);

// Immutable; many threads may read at once, each with its own buffer.
class PackBatches {
 public:
  // `shards` outlives it. Throws Error when it has fewer packs than a step takes.
  PackBatches(const TokenShards& shards, const StepShape& shape, uint64_t seed);

  const StepShape& shape() const { return shape_; }
  uint64_t StepsOfEpoch() const { return order_.packs() / shape_.packs(); }  // whole steps
  // Part of an epoch that the run has behind it before `step`: 1.5 is the middle of the second.
  double EpochsBefore(uint64_t step) const;

  // The pack of row `row` of a micro-batch. Steps go on from one epoch to the next without a gap.
  uint64_t PackAt(const MicroStep& at, uint64_t row) const;
  // Tokens that bear loss in the whole step, all lanes: the divisor of its gradients. From the index alone.
  uint64_t TargetsOfStep(uint64_t step) const;
  uint64_t MostTokens() const;     // of a micro-batch
  uint64_t MostDocuments() const;  // of a micro-batch

  // ReadPacks of its rows.
  TrainBatch Read(const MicroStep& at, BatchBuffer& buffer) const;

 private:
  const TokenShards& shards_;
  StepShape shape_;
  PackOrder order_;
};

}  // namespace stablelm
