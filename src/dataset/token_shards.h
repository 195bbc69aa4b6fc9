// Prepared data on disk: token shards and their index. What `prepare` writes and training maps.
//
// A folder of prepared data holds manifest.json and, for each split ("train", "validation"; a split without packs has
// no files), SPLIT.index and SPLIT-00000.tokens, SPLIT-00001.tokens, ... All numbers are little-endian; sections begin
// at multiples of 64 bytes, filled up with zeros.
//
// SPLIT.index
//   bytes 0-7     "SLMPACKS"
//   u32           1, the version of this layout
//   u32           bytes of an id in the shards: 2 for vocabularies of at most 65,536 ids, else 4
//   u64           sequence length: tokens of a pack at most
//   u64           packs P, u64 documents D, u64 tokens T, u64 targets, u64 shards S, u64 vocabulary
//   at 128        u64 [S + 1]: the first token of each shard, and T. A shard holds whole packs.
//   then          u64 [P + 1]: the first document of each pack, and D
//   then          TokenDocument [D], 40 bytes each; documents of a pack are neighbours in the shards, in this order
// SPLIT-NNNNN.tokens
//   bytes 0-7     "SLMTOKEN"
//   u32           1
//   u32           bytes of an id
//   u64           first token, u64 tokens N
//   at 64         ids [N]
//   then          target bits [N], from the lowest bit of each byte: 1 if the token is to be learned
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "dataset/packing.h"

namespace stablelm {

inline constexpr const char* kTrainSplit = "train";
inline constexpr const char* kValidationSplit = "validation";

// A document: a sample, or a part of one in concatenated packs. The first token is never a target.
struct TokenDocument {
  uint64_t begin = 0;    // its first token in the split
  uint64_t row = 0;      // row of the source's file, from 0
  uint32_t length = 0;   // tokens
  uint32_t targets = 0;  // how many of them are targets
  uint32_t source = 0;   // of the manifest's sources
  uint32_t file = 0;     // of the source's files
  uint32_t piece = 0;    // of the row's samples, from 0
  uint32_t repeat = 0;   // of the sample, from 0: sources with a weight above 1
  bool operator==(const TokenDocument&) const = default;
};
static_assert(sizeof(TokenDocument) == 40);

// One split, mapped. Immutable; safe to read from many threads.
class TokenShards {
 public:
  // Throws Error when a file is missing or is not as described above: every number is checked before it is used. Does
  // not read the ids.
  TokenShards(const std::filesystem::path& folder, const std::string& split);
  static bool Exists(const std::filesystem::path& folder, const std::string& split);

  int64_t sequence_length() const { return sequence_length_; }
  int64_t vocab_size() const { return vocab_size_; }
  uint64_t packs() const { return packs_.size() - 1; }
  uint64_t tokens() const { return tokens_; }
  uint64_t targets() const { return targets_; }
  std::span<const TokenDocument> documents() const { return documents_; }
  // The documents of a pack; pack < packs().
  std::span<const TokenDocument> Pack(uint64_t pack) const {
    return documents_.subspan(packs_[pack], packs_[pack + 1] - packs_[pack]);
  }
  // Number of the pack's first document in documents().
  uint64_t FirstDocument(uint64_t pack) const { return packs_[pack]; }
  // The pack that holds the document.
  uint64_t PackOf(uint64_t document) const;

  // Ids and targets (0 or 1) of a document; the buffers hold document.length elements. Throws Error for ids that are
  // not below the vocabulary.
  void Read(const TokenDocument& document, std::span<int32_t> ids, std::span<uint8_t> targets) const;

 private:
  struct Shard {
    MappedFile file;
    uint64_t first = 0, tokens = 0;
  };
  const Shard& ShardOf(uint64_t token) const;

  std::string where_;
  MappedFile index_;
  std::vector<Shard> shards_;
  size_t id_bytes_ = 2;
  int64_t sequence_length_ = 0, vocab_size_ = 0;
  uint64_t tokens_ = 0, targets_ = 0;
  std::span<const uint64_t> packs_;
  std::span<const TokenDocument> documents_;
};

struct ShardsToWrite {
  std::string split;
  int64_t sequence_length = 0;
  int64_t vocab_size = 0;
  // Tokens of a shard at most, unless one pack is longer.
  uint64_t shard_tokens = uint64_t{1} << 27;
};

// Ids and target bytes of a sample; both spans have its length and stay valid until the next call.
struct SampleTokens {
  std::span<const int32_t> ids;
  std::span<const uint8_t> targets;
};

// The target bits of a document, in `bits`: those of its part of the sample, but the first, which nothing predicts
// where a sample was cut.
std::span<const uint8_t> TargetsOfDocument(const PackedDocument& document, const SampleTokens& sample,
                                           std::vector<uint8_t>& bits);

struct WrittenShards {
  std::vector<std::string> names;
  uint64_t targets = 0;
};

// Writes the split's files into `folder`. `describe` gives source, file, row, piece and repeat of
// a sample, `read` its tokens. The bytes depend on the arguments alone. Throws Error when a file cannot be written.
WrittenShards WriteTokenShards(const std::filesystem::path& folder, const ShardsToWrite& what, const Packs& packs,
                               const std::function<TokenDocument(uint32_t sample)>& describe,
                               const std::function<SampleTokens(uint32_t sample)>& read);

}  // namespace stablelm
