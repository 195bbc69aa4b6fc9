#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// std::push_heap keeps the largest element on top, so the next candidate must compare as the largest.
bool ComesLater(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const BpeMerge> merges) : byte_ids_(byte_ids) {
  const size_t size = std::bit_ceil(2 * merges.size() + 2);
  slots_.assign(size, Slot{});
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
  products_.reserve(merges.size());
  for (const BpeMerge& m : merges) {
    const uint32_t rank = static_cast<uint32_t>(products_.size());
    products_.push_back(m.product);
    const uint64_t pair = PairOf(m.left, m.right);
    size_t i = FirstSlot(pair);
    while (slots_[i].pair != pair && slots_[i].pair != kFree) i = (i + 1) & mask_;
    slots_[i] = {pair, rank, m.product};
  }
  MeasureTokens(merges);
}

// A product whose parts come later in the list has no length: pieces of a vocabulary with such merges are not divided.
void Bpe::MeasureTokens(std::span<const BpeMerge> merges) {
  int32_t largest = *std::max_element(byte_ids_.begin(), byte_ids_.end());
  for (const BpeMerge& m : merges) largest = std::max({largest, m.left, m.right, m.product});
  bytes_.assign(static_cast<size_t>(largest) + 1, 0);
  for (const int32_t id : byte_ids_) {
    if (id >= 0) bytes_[static_cast<size_t>(id)] = 1;
  }
  for (const BpeMerge& m : merges) {
    uint32_t& product = bytes_[static_cast<size_t>(m.product)];
    const uint32_t left = bytes_[static_cast<size_t>(m.left)], right = bytes_[static_cast<size_t>(m.right)];
    const uint32_t length = left == 0 || right == 0 ? 0 : left + right;
    divisible_ = divisible_ && length != 0 && (product == 0 || product == length);
    product = length;
  }
}

void Bpe::Encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const {
  if (piece.size() <= kSmall) {
    EncodeSmall(piece, scratch, out);
  } else if (piece.size() <= 2 * scratch.window_bytes || !divisible_ || !EncodeInWindows(piece, scratch, out)) {
    EncodeLong(piece, scratch, out);
  }
}

// A list of tokens is the encoding of its text if and only if each two neighbours are the encoding of theirs: the
// merges inside two neighbours run as they would alone until one crosses a border, and the first that does crosses it
// in the text of the two as well. So where the windows' encodings share a token, they are joined at it. False, with
// `out` as it was: two windows share no token near their border.
bool Bpe::EncodeInWindows(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const {
  constexpr size_t kOverlap = 64;  // tokens at a window's end that what follows may change
  const size_t before = out.size();
  std::vector<int32_t>& ids = scratch.window;
  std::optional<int32_t> shared;  // the token at which the next window begins
  for (size_t begin = 0;;) {
    const size_t size = std::min(scratch.window_bytes, piece.size() - begin);
    ids.clear();
    EncodeLong(piece.substr(begin, size), scratch, ids);
    if ((shared && ids.front() != *shared) || ids.size() < 2) {
      out.resize(before);
      return false;
    }
    if (begin + size == piece.size()) {
      out.insert(out.end(), ids.begin(), ids.end());
      return true;
    }
    const size_t kept = ids.size() - std::min(kOverlap, ids.size() / 2);
    size_t bytes = 0;
    for (size_t i = 0; i < kept; ++i) bytes += bytes_[static_cast<size_t>(ids[i])];
    out.insert(out.end(), ids.begin(), ids.begin() + static_cast<ptrdiff_t>(kept));
    shared = ids[kept];
    begin += bytes;
  }
}

void Bpe::EncodeSmall(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const {
  std::array<int32_t, kSmall> ids;
  std::array<uint32_t, kSmall> ranks;  // ranks[i]: of the pair (i, i + 1)
  size_t n = piece.size();
  if (n == 0) return;
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = Find(ids[i], ids[i + 1]).rank;
  while (n > 1) {
    size_t at = 0;
    uint32_t lowest = ranks[0];
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < lowest) {
        lowest = ranks[i];
        at = i;
      }
    }
    if (lowest == kNoRank) break;
    ++scratch.merges;
    ids[at] = products_[lowest];
    --n;
    std::copy(ids.begin() + static_cast<ptrdiff_t>(at) + 2, ids.begin() + static_cast<ptrdiff_t>(n) + 1,
              ids.begin() + static_cast<ptrdiff_t>(at) + 1);
    if (at + 1 < n) {
      std::copy(ranks.begin() + static_cast<ptrdiff_t>(at) + 1, ranks.begin() + static_cast<ptrdiff_t>(n),
                ranks.begin() + static_cast<ptrdiff_t>(at));
      ranks[at] = Find(ids[at], ids[at + 1]).rank;
    }
    if (at > 0) ranks[at - 1] = Find(ids[at - 1], ids[at]).rank;
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n));
}

void Bpe::EncodeLong(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const {
  if (piece.size() >= kNone) {
    throw Error({.where = "tokenizer",
                 .what = "a piece of text without a break is too long",
                 .found = std::to_string(piece.size()) + " bytes",
                 .expected = "less than 4 GiB",
                 .hint = "split the text"});
  }
  const uint32_t n = static_cast<uint32_t>(piece.size());
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.resize(n);
  heap.clear();
  for (uint32_t i = 0; i < n; ++i) {
    symbols[i] = {byte_ids_[static_cast<uint8_t>(piece[i])], kNoRank, i == 0 ? kNone : i - 1,
                  i + 1 == n ? kNone : i + 1};
  }
  for (uint32_t i = 0; i + 1 < n; ++i) {
    symbols[i].rank = Find(symbols[i].id, symbols[i + 1].id).rank;
    if (symbols[i].rank != kNoRank) heap.push_back({symbols[i].rank, i});
  }
  std::make_heap(heap.begin(), heap.end(), ComesLater);
  scratch.queued += heap.size();
  const auto rank_pair = [&](uint32_t at) {
    BpeScratch::Symbol& s = symbols[at];
    s.rank = s.next == kNone ? kNoRank : Find(s.id, symbols[s.next].id).rank;
    if (s.rank == kNoRank) return;
    heap.push_back({s.rank, at});
    std::push_heap(heap.begin(), heap.end(), ComesLater);
    ++scratch.queued;
  };
  while (!heap.empty()) {
    const BpeScratch::Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), ComesLater);
    heap.pop_back();
    BpeScratch::Symbol& left = symbols[best.position];
    // Stale entry: the pair at this position was merged or has a new rank. A merged right symbol has kNoRank.
    if (left.rank != best.rank) continue;
    ++scratch.merges;
    BpeScratch::Symbol& right = symbols[left.next];
    left.id = products_[best.rank];
    left.next = right.next;
    right.rank = kNoRank;
    if (left.next != kNone) symbols[left.next].previous = best.position;
    rank_pair(best.position);
    if (left.previous != kNone) rank_pair(left.previous);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace stablelm
