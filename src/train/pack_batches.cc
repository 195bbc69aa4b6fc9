#include "train/pack_batches.h"

#include <algorithm>
#include <span>
#include <string>

#include "base/counted.h"
#include "base/error.h"

namespace stablelm {

PackBatches::PackBatches(const TokenShards& shards, const StepShape& shape, uint64_t seed)
    : shards_(shards), shape_(shape), order_(std::max<uint64_t>(shards.packs(), 1), seed) {
  STABLELM_CHECK(shape.rows > 0 && shape.micro_batches > 0 && shape.lanes > 0);
  if (shards.packs() < shape.packs()) {
    const uint64_t rows = std::max<uint64_t>(1, std::min(shape.rows, shards.packs()));
    const std::string smaller =
        (rows < shape.rows ? "--set rows=" + std::to_string(rows) + " " : "") + "--set micro_batches=" +
        std::to_string(std::max<uint64_t>(1, std::min(shape.micro_batches, shards.packs() / rows / shape.lanes)));
    throw Error({.where = "training data",
                 .what = "fewer packs than a step takes",
                 .found = Counted(shards.packs(), "pack"),
                 .expected = "at least " + std::to_string(shape.packs()) + ", rows x micro_batches",
                 .hint = (shards.packs() > 0 ? "`" + smaller + "`, or " : "") +
                         "data prepared with a shorter sequence_length, or more data"});
  }
}

double PackBatches::EpochsBefore(uint64_t step) const {
  return static_cast<double>(step) * static_cast<double>(shape_.packs()) / static_cast<double>(order_.packs());
}

uint64_t PackBatches::PackAt(const MicroStep& at, uint64_t row) const {
  STABLELM_CHECK(at.micro < shape_.micro_batches && at.lane < shape_.lanes && row < shape_.rows);
  const uint64_t micro_step = at.step * shape_.micro_batches + at.micro;
  return order_.At((micro_step * shape_.lanes + at.lane) * shape_.rows + row);
}

uint64_t PackBatches::TargetsOfStep(uint64_t step) const {
  uint64_t targets = 0;
  for (uint64_t i = 0; i < shape_.packs(); ++i) {
    for (const TokenDocument& document : shards_.Pack(order_.At(step * shape_.packs() + i)))
      targets += document.targets;
  }
  return targets;
}

uint64_t PackBatches::MostTokens() const { return shape_.rows * static_cast<uint64_t>(shards_.sequence_length()); }

uint64_t PackBatches::MostDocuments() const {
  uint64_t most = 0;
  for (uint64_t pack = 0; pack < shards_.packs(); ++pack) most = std::max<uint64_t>(most, shards_.Pack(pack).size());
  return shape_.rows * most;
}

TrainBatch PackBatches::Read(const MicroStep& at, BatchBuffer& buffer) const {
  buffer.packs_.resize(shape_.rows);
  for (uint64_t row = 0; row < shape_.rows; ++row) buffer.packs_[row] = PackAt(at, row);
  return ReadPacks(shards_, buffer.packs_, buffer);
}

TrainBatch ReadPacks(const TokenShards& shards, std::span<const uint64_t> packs, BatchBuffer& buffer) {
  const uint64_t most = packs.size() * static_cast<uint64_t>(shards.sequence_length());
  buffer.ids_.resize(most);
  buffer.targets_.resize(most);
  buffer.bits_.resize(static_cast<size_t>(shards.sequence_length()));
  buffer.documents_.clear();
  size_t begin = 0;
  for (const uint64_t pack : packs) {
    for (const TokenDocument& document : shards.Pack(pack)) {
      const size_t n = document.length;
      const std::span<int32_t> ids = std::span(buffer.ids_).subspan(begin, n);
      const std::span<int32_t> targets = std::span(buffer.targets_).subspan(begin, n);
      const std::span<uint8_t> bits = std::span(buffer.bits_).first(n);
      shards.Read(document, ids, bits);
      for (size_t i = 0; i + 1 < n; ++i) targets[i] = bits[i + 1] != 0 ? ids[i + 1] : kNoTarget;
      targets[n - 1] = kNoTarget;
      buffer.documents_.push_back({.tokens = ids, .targets = targets});
      begin += n;
    }
  }
  return buffer.documents_;
}

}  // namespace stablelm
