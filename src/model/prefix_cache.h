// Prefix cache: lets a later text reuse the KV-cache pages of an earlier text that begins with the same tokens.
//
// A tree (trie) of whole pages. The key of a page is all tokens from the start of the text to the page's end. Tokens
// are compared, not hashed, so different texts never share a page. The tree holds one reference to each of its pages; a
// page that nothing else holds may be evicted, the least recently used first. A cache belongs to one set of weights and
// one value type, and so does its tree.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "model/kv_cache.h"

namespace stablelm {

// Not thread-safe: used by the thread that uses the cache. The cache must outlive it.
class PrefixCache {
 public:
  explicit PrefixCache(KvCache& cache) : cache_(cache) {}
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // A sequence that holds the longest cached prefix of `ids`, at most `limit` tokens: whole pages, possibly none.
  KvSequence Match(std::span<const int32_t> ids, int64_t limit);
  // Number of tokens that Match would return.
  int64_t MatchedPositions(std::span<const int32_t> ids, int64_t limit) const;
  // Caches the whole pages of `sequence`, which holds the first sequence.length() tokens of `ids`.
  void Insert(std::span<const int32_t> ids, const KvSequence& sequence);
  // Evicts pages that nothing else holds until `pages` pages of the cache are free. Returns whether they are.
  bool MakeRoom(int64_t pages);
  // Number of pages that MakeRoom could free now.
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
  // The nodes of the longest cached prefix, starting at the first page.
  std::vector<Node*> Path(std::span<const int32_t> ids, int64_t limit) const;
  // Gives a parent a later use time than its children, so the least recently used node is always a leaf.
  void Touch(std::span<Node* const> path);
  void Forget(Node* node);
  int64_t EvictableBelow(const Node& node, bool& all) const;

  KvCache& cache_;
  Node root_;
  std::map<uint64_t, Node*> by_use_;  // every node but the root
  uint64_t clock_ = 0;
};

}  // namespace stablelm
