// Samples on their way to the token shards: written in the order in which they are made, read in any order. They lie in
// temporary files; memory holds little of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "dataset/clean/spill.h"
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

// Samples as they lie in the spool: of each its ids, then its target bits. Made by any thread.
struct SampleBytes {
  struct Size {
    uint32_t length = 0;   // tokens
    uint32_t targets = 0;  // among them
  };
  std::vector<Size> sizes;
  std::vector<std::byte> bytes;

  // `id_bytes`: 2 or 4.
  void Add(const Sample& sample, size_t id_bytes);
  static size_t BytesOf(size_t length, size_t id_bytes) { return length * id_bytes + (length + 7) / 8; }
};

// For one thread. Throws Error when a temporary file cannot be written.
class SampleSpool {
 public:
  struct Record {
    uint64_t offset = 0;  // of the ids in the file; target bits follow
    SampleOrigin origin;
    uint32_t length = 0;
    uint32_t targets = 0;
  };

  static constexpr uint64_t kMostSamples = ~uint32_t{0};

  // Temporary files lie beside `spill.target`. `id_bytes`: 2 or 4.
  SampleSpool(const SpillOptions& spill, size_t id_bytes);
  // Appends the samples of a row's conversation: pieces `origin.piece`, + 1, ... The first has the number size() before
  // the call, and the others follow. Throws Error beyond kMostSamples.
  void Add(const SampleBytes& samples, SampleOrigin origin);
  uint32_t size() const { return static_cast<uint32_t>(records_.size()); }

  // No Add after these. Read is valid until the next call.
  std::span<const Record> Records() { return records_.Values(); }
  SampleTokens Read(uint32_t sample);
  uint64_t spilled_bytes() const { return records_.spilled_bytes(); }  // without the tokens

 private:
  void Flush();

  SpillFile file_;
  SpillVector<Record> records_;
  size_t id_bytes_;
  std::vector<std::byte> buffer_;
  MappedFile map_;
  std::vector<int32_t> ids_;
  std::vector<uint8_t> bits_;
};

}  // namespace stablelm
