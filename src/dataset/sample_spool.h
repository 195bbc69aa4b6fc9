// Samples on their way to the token shards: written in the order in which they are made, read in any order. They lie in
// a temporary file; memory holds a few numbers for each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/mapped_file.h"
#include "base/temporary_paths.h"
#include "dataset/samples.h"
#include "dataset/token_shards.h"

namespace stablelm {

// Where a sample comes from.
struct SampleOrigin {
  uint32_t source = 0;
  uint32_t file = 0;
  uint64_t row = 0;
  uint32_t piece = 0;
};

// For one thread.
class SampleSpool {
 public:
  // The temporary file lies beside `target`. `id_bytes`: 2 or 4.
  SampleSpool(const std::filesystem::path& target, size_t id_bytes);
  // Returns the sample's number: 0, 1, ... Throws Error when the file cannot be written.
  uint32_t Add(const Sample& sample, const SampleOrigin& origin);

  uint32_t size() const { return static_cast<uint32_t>(lengths_.size()); }
  uint32_t length(uint32_t sample) const { return lengths_[sample]; }
  uint32_t targets(uint32_t sample) const { return targets_[sample]; }
  const SampleOrigin& origin(uint32_t sample) const { return origins_[sample]; }

  // No Add after it. Valid until the next call.
  SampleTokens Read(uint32_t sample);

 private:
  void Flush();

  std::filesystem::path target_;
  TemporaryPath file_;
  size_t id_bytes_;
  std::vector<std::byte> buffer_;
  uint64_t written_ = 0;  // flushed bytes
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> lengths_, targets_;
  std::vector<SampleOrigin> origins_;
  MappedFile map_;
  std::vector<int32_t> ids_;
  std::vector<uint8_t> bits_;
};

}  // namespace stablelm
