#include "dataset/clean/near_duplicates.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "dataset/clean/hashes.h"

namespace stablelm {
namespace {

constexpr size_t kShingleWords = 5;
constexpr size_t kMostCandidates = 1000;
constexpr uint64_t kSeed = 0x6E656172;  // of the hash functions; part of the rules of preparation

// Spreads every bit over all others (the finalizer of MurmurHash3).
uint64_t Mixed(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDu;
  x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53u;
  return x ^ (x >> 33);
}

uint64_t ShingleOf(std::span<const uint64_t> words) {
  uint64_t hash = words.size();
  for (const uint64_t word : words) hash = Mixed(hash + word);
  return hash;
}

}  // namespace

double JaccardIndex(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  if (a.empty() && b.empty()) return 1;
  size_t both = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    both += a[i] == b[j] ? 1 : 0;
    const bool next_a = a[i] <= b[j], next_b = b[j] <= a[i];
    i += next_a ? 1 : 0;
    j += next_b ? 1 : 0;
  }
  return static_cast<double>(both) / static_cast<double>(a.size() + b.size() - both);
}

NearSigner::NearSigner() {
  const Philox random(kSeed);
  for (size_t i = 0; i < kHashes; ++i) {
    const std::array<uint32_t, 4> block = random.Block(0, i);
    factors_[i] = block[0] | 1;
    offsets_[i] = block[1];
  }
}

NearSignature NearSigner::Sign(const SourceConversation& conversation) const {
  // A word has a byte and one that ends it, or three: what is reserved but not used takes no memory.
  size_t bytes = conversation.document ? conversation.document->size() : 0;
  for (const SourceTurn& turn : conversation.turns) bytes += turn.text.size() + 1;
  std::vector<uint64_t> words;
  words.reserve(bytes / 2 + 1);
  if (conversation.document) words_.AppendHashes(*conversation.document, words);
  for (const SourceTurn& turn : conversation.turns) words_.AppendHashes(turn.text, words);
  if (words.empty()) {  // nothing but signs: they are what is compared
    if (conversation.document) words.push_back(Hash64(*conversation.document));
    for (const SourceTurn& turn : conversation.turns) words.push_back(Hash64(turn.text));
  }
  // In place: a shingle replaces its first word, which no later one has.
  const std::span<const uint64_t> all = words;
  const size_t count = words.size() < kShingleWords ? 1 : words.size() - kShingleWords + 1;
  const size_t width = std::min(words.size(), kShingleWords);
  for (size_t i = 0; i < count; ++i) words[i] = ShingleOf(all.subspan(i, width));
  words.resize(count);
  NearSignature signature{.shingles = std::move(words), .bands = {}};
  std::vector<uint64_t>& shingles = signature.shingles;
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());

  std::array<uint32_t, kHashes> minima;
  minima.fill(std::numeric_limits<uint32_t>::max());
  for (const uint64_t shingle : shingles) {
    const auto x = static_cast<uint32_t>(shingle >> 32);
    for (size_t i = 0; i < kHashes; ++i) minima[i] = std::min(minima[i], factors_[i] * x + offsets_[i]);
  }
  for (size_t band = 0; band < NearSignature::kBands; ++band) {
    uint64_t key = band;
    for (size_t i = 0; i < kRows; ++i) key = Mixed(key + minima[band * kRows + i]);
    signature.bands[band] = key;
  }
  return signature;
}

// A quarter of the budget for the bands, which are sorted; an eighth for each of the other arrays.
NearDuplicates::NearDuplicates(double threshold, const SpillOptions& options)
    : threshold_(threshold), part_(options.Share(8)), shingles_(part_), rows_(part_), bands_(options.Share(4)) {}

void NearDuplicates::Add(const NearSignature& signature, uint64_t position) {
  const uint64_t row = rows_.size();
  STABLELM_CHECK(row < std::numeric_limits<uint32_t>::max());
  shingles_.Append(signature.shingles);
  const Row added{position, shingles_.size()};
  rows_.Append(added);
  for (const uint64_t key : signature.bands) bands_.Add({key, row});
}

std::span<const uint64_t> NearDuplicates::ShinglesOf(size_t row) {
  const std::span<const Row> rows = rows_.Values();
  const uint64_t begin = row == 0 ? 0 : rows[row - 1].end;
  return shingles_.Values().subspan(static_cast<size_t>(begin), static_cast<size_t>(rows[row].end - begin));
}

void NearDuplicates::Find(FunctionRef<void(uint64_t duplicate, uint64_t kept)> found) {
  // Groups: the rows that share a band. A row that is alone with its bands is a near duplicate of none.
  SortedRecords<GroupOfRow> members(part_.Share(1));
  uint32_t groups = 0;
  std::optional<BandOfRow> last;
  bool in_group = false;
  bands_.ForEach([&](const BandOfRow& band) {
    const bool same = last && last->key == band.key;
    if (same && !in_group) {
      STABLELM_CHECK(groups < std::numeric_limits<uint32_t>::max());
      members.Add({static_cast<uint32_t>(last->row), groups++});
    }
    in_group = same;
    if (same) members.Add({static_cast<uint32_t>(band.row), groups - 1});
    last = band;
  });

  // Lists of the kept rows of each group, the latest first: heads[group] and next[entry] are entries + 1.
  STABLELM_CHECK(members.size() < std::numeric_limits<uint32_t>::max());
  ScratchNumbers heads(groups, part_);
  ScratchNumbers next(members.size(), part_), kept_row(members.size(), part_);
  uint32_t entries = 0;
  std::vector<uint32_t> groups_of_row, candidates;
  std::vector<std::pair<uint32_t, uint32_t>> ranked;  // (bands that are not shared, row)
  const auto end_row = [&](uint32_t row) {
    candidates.clear();
    for (const uint32_t group : groups_of_row) {
      uint32_t entry = heads[group];
      for (size_t i = 0; entry != 0 && i < kMostCandidates; ++i, entry = next[entry - 1]) {
        candidates.push_back(kept_row[entry - 1]);
      }
    }
    std::sort(candidates.begin(), candidates.end());
    ranked.clear();
    for (const uint32_t candidate : candidates) {
      if (ranked.empty() || ranked.back().second != candidate) ranked.emplace_back(NearSignature::kBands, candidate);
      --ranked.back().first;
    }
    std::sort(ranked.begin(), ranked.end());
    if (ranked.size() > kMostCandidates) ranked.resize(kMostCandidates);
    const std::span<const uint64_t> mine = ShinglesOf(row);
    const std::span<const Row> rows = rows_.Values();
    for (const auto& [unused, candidate] : ranked) {
      const std::span<const uint64_t> other = ShinglesOf(candidate);
      const size_t small = std::min(mine.size(), other.size()), large = std::max(mine.size(), other.size());
      if (static_cast<double>(small) / static_cast<double>(large) < threshold_) continue;
      if (JaccardIndex(mine, other) < threshold_) continue;
      found(rows[row].position, rows[candidate].position);
      return;
    }
    for (const uint32_t group : groups_of_row) {
      kept_row[entries] = row;
      next[entries] = heads[group];
      heads[group] = ++entries;
    }
  };
  std::optional<uint32_t> row;
  members.ForEach([&](const GroupOfRow& member) {
    if (row && *row != member.row) {
      end_row(*row);
      groups_of_row.clear();
    }
    row = member.row;
    groups_of_row.push_back(member.group);
  });
  if (row) end_row(*row);
  spilled_ = members.spilled_bytes() + heads.spilled_bytes() + next.spilled_bytes() + kept_row.spilled_bytes();
}

uint64_t NearDuplicates::spilled_bytes() const {
  return shingles_.spilled_bytes() + rows_.spilled_bytes() + bands_.spilled_bytes() + spilled_;
}

}  // namespace stablelm
