// Finds rows that are nearly equal to an earlier one, for any number of rows in bounded memory.
//
// Two conversations are near duplicates when the Jaccard index of their sets of shingles, |A and B| / |A or B|, is at
// least the threshold. A shingle is the hash of five words in a row (dataset/clean/words.h), of the texts of all turns
// one after the other, or of the document; system texts are left out, because many rows share theirs. A conversation of
// fewer words is one shingle. Candidates are found by MinHash (Broder, "On the resemblance and containment of
// documents", 1997) with locality-sensitive hashing: 16 bands of 6 minima. A pair becomes a candidate with the
// probability 1 - (1 - J^6)^16: 0.9995 at J = 0.85, 0.992 at 0.8. Every candidate is confirmed by its exact index, so
// no pair below the threshold is ever found.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "base/function_ref.h"
#include "dataset/clean/spill.h"
#include "dataset/clean/words.h"
#include "dataset/rows/source_conversation.h"

namespace stablelm {

struct NearSignature {
  static constexpr size_t kBands = 16;

  std::vector<uint64_t> shingles;           // sorted, each once
  std::array<uint64_t, kBands> bands = {};  // hash of each band's minima
  bool operator==(const NearSignature&) const = default;
};

// The Jaccard index of two sorted sets; of two empty ones 1.
double JaccardIndex(std::span<const uint64_t> a, std::span<const uint64_t> b);

// Makes signatures, on any thread. Immutable.
class NearSigner {
 public:
  NearSigner();
  // The same on every machine. About 10 us for 1 KB.
  NearSignature Sign(const SourceConversation& conversation) const;

 private:
  static constexpr size_t kRows = 6;  // minima of a band
  static constexpr size_t kHashes = NearSignature::kBands * kRows;

  WordSplitter words_;
  std::array<uint32_t, kHashes> factors_ = {}, offsets_ = {};  // of the hash functions x -> factor x + offset
};

// For one thread at a time, and at most 2^28 rows. Past the budget everything goes to temporary files: 8 bytes for each
// shingle and about 500 for each row.
class NearDuplicates {
 public:
  NearDuplicates(double threshold, const SpillOptions& options);

  // `position`: any number; the order of the calls is that in which the first of near duplicates is kept.
  void Add(const NearSignature& signature, uint64_t position);
  // Goes through the rows in the order in which they were added. A row is compared with earlier rows that were kept: it
  // goes if one reaches the threshold, and then found(its position, that row's) is called; else it is kept. Compared
  // are at most 1,000 candidates, those that share the most bands first, and of those that share a band the 1,000
  // latest. Depends on neither the budget nor the threads that made the signatures. Once, at the end.
  void Find(FunctionRef<void(uint64_t duplicate, uint64_t kept)> found);
  uint64_t spilled_bytes() const;

 private:
  struct Row {
    uint64_t position = 0;
    uint64_t end = 0;  // of its shingles in all shingles
  };
  struct BandOfRow {
    uint64_t key = 0;
    uint64_t row = 0;
    auto operator<=>(const BandOfRow&) const = default;
  };
  struct GroupOfRow {
    uint32_t row = 0;
    uint32_t group = 0;  // rows that share a band
    auto operator<=>(const GroupOfRow&) const = default;
  };
  std::span<const uint64_t> ShinglesOf(size_t row);

  double threshold_;
  SpillOptions part_;  // of each of the arrays
  SpillVector<uint64_t> shingles_;
  SpillVector<Row> rows_;
  SortedRecords<BandOfRow> bands_;
  uint64_t spilled_ = 0;  // by what Find makes
};

}  // namespace stablelm
