// Pages of a KvCache that later texts can use again because they begin with the same tokens.
//
// A tree of whole pages: a page's place is the tokens from the start of the text to the page's end, compared token by
// token, so that two texts never share by accident. The tree holds one reference to each of its pages; a page that
// nothing else holds may be forgotten, the least recently used first. One cache holds values of one type computed by
// one set of weights, and so does its tree.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "model/kv_cache.h"

namespace stablelm {

// One thread at a time: the one that uses the cache, which outlives this.
class PrefixCache {
 public:
  explicit PrefixCache(KvCache& cache) : cache_(cache) {}
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // A sequence with the longest known beginning of `ids`, at most `limit` positions: whole pages, maybe none.
  KvSequence Match(std::span<const int32_t> ids, int64_t limit);
  // How many positions Match would give.
  int64_t MatchedPositions(std::span<const int32_t> ids, int64_t limit) const;
  // Remembers the whole pages of `sequence`, which holds the first sequence.length() of `ids`.
  void Insert(std::span<const int32_t> ids, const KvSequence& sequence);
  // Forgets pages that nothing else holds until `pages` of the cache are free. Returns whether they are.
  bool MakeRoom(int64_t pages);
  // Pages that MakeRoom could free now.
  int64_t Evictable() const;
  int64_t pages() const { return static_cast<int64_t>(by_use_.size()); }

 private:
  using Tokens = std::vector<int32_t>;  // of one page
  struct Node {
    int32_t page = -1;
    uint64_t used = 0;
    Node* parent = nullptr;
    const Tokens* tokens = nullptr;  // its key in the parent
    std::map<Tokens, std::unique_ptr<Node>> children;
  };
  // The nodes of the longest known beginning, from the first page on.
  std::vector<Node*> Path(std::span<const int32_t> ids, int64_t limit) const;
  // A parent is always used later than its children, so the least recently used of all has none.
  void Touch(std::span<Node* const> path);
  void Forget(Node* node);
  int64_t EvictableBelow(const Node& node, bool& all) const;

  KvCache& cache_;
  Node root_;
  std::map<uint64_t, Node*> by_use_;  // every node but the root
  uint64_t clock_ = 0;
};

}  // namespace stablelm
