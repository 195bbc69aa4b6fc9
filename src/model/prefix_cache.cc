#include "model/prefix_cache.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {

PrefixCache::~PrefixCache() {
  for (const auto& [used, node] : by_use_) cache_.Release(node->page);
}

std::vector<PrefixCache::Node*> PrefixCache::Path(std::span<const int32_t> ids, int64_t limit) const {
  std::vector<Node*> path;
  const size_t pages = static_cast<size_t>(std::min(limit, static_cast<int64_t>(ids.size())) / kKvPageTokens);
  const Node* at = &root_;
  for (size_t p = 0; p < pages; ++p) {
    const auto piece = ids.subspan(p * kKvPageTokens, kKvPageTokens);
    const auto child = at->children.find(Tokens(piece.begin(), piece.end()));
    if (child == at->children.end()) break;
    path.push_back(child->second.get());
    at = child->second.get();
  }
  return path;
}

void PrefixCache::Touch(std::span<Node* const> path) {
  for (size_t i = path.size(); i-- > 0;) {
    Node* const node = path[i];
    if (node->used != 0) by_use_.erase(node->used);
    node->used = ++clock_;
    by_use_.emplace(node->used, node);
  }
}

KvSequence PrefixCache::Match(std::span<const int32_t> ids, int64_t limit) {
  const std::vector<Node*> path = Path(ids, limit);
  Touch(path);
  std::vector<int32_t> pages;
  for (const Node* node : path) pages.push_back(node->page);
  return KvSequence(cache_, pages);
}

int64_t PrefixCache::MatchedPositions(std::span<const int32_t> ids, int64_t limit) const {
  return static_cast<int64_t>(Path(ids, limit).size()) * kKvPageTokens;
}

void PrefixCache::Insert(std::span<const int32_t> ids, const KvSequence& sequence) {
  STABLELM_CHECK(static_cast<int64_t>(ids.size()) >= sequence.length() && &sequence.cache() == &cache_);
  std::vector<Node*> path = Path(ids, sequence.length());
  // Insert only below pages that the sequence itself holds. Otherwise a page in use would pin ancestor pages that its
  // user does not hold.
  for (size_t p = 0; p < path.size(); ++p) {
    if (path[p]->page != sequence.pages()[p]) return;
  }
  const size_t whole = static_cast<size_t>(sequence.length() / kKvPageTokens);
  for (size_t p = path.size(); p < whole; ++p) {
    const auto piece = ids.subspan(p * kKvPageTokens, kKvPageTokens);
    Node* const parent = path.empty() ? &root_ : path.back();
    const auto [place, added] =
        parent->children.try_emplace(Tokens(piece.begin(), piece.end()), std::make_unique<Node>());
    Node* const node = place->second.get();
    STABLELM_CHECK(added);
    node->page = sequence.pages()[p];
    node->parent = parent;
    node->tokens = &place->first;
    cache_.Share(node->page);
    path.push_back(node);
  }
  Touch(path);
}

void PrefixCache::Forget(Node* node) {
  cache_.Release(node->page);
  by_use_.erase(node->used);
  node->parent->children.erase(node->parent->children.find(*node->tokens));
}

bool PrefixCache::MakeRoom(int64_t pages) {
  while (cache_.free_pages() < pages) {
    const auto oldest = std::find_if(by_use_.begin(), by_use_.end(), [&](const auto& entry) {
      return entry.second->children.empty() && cache_.references(entry.second->page) == 1;
    });
    if (oldest == by_use_.end()) return false;
    Forget(oldest->second);
  }
  return true;
}

// A page held by a sequence pins all its ancestors in the tree.
int64_t PrefixCache::EvictableBelow(const Node& node, bool& all) const {
  int64_t count = 0;
  for (const auto& [tokens, child] : node.children) {
    bool whole = cache_.references(child->page) == 1;
    count += EvictableBelow(*child, whole);
    if (whole) ++count;
    all = all && whole;
  }
  return count;
}

int64_t PrefixCache::Evictable() const {
  bool all = true;
  return EvictableBelow(root_, all);
}

}  // namespace stablelm
