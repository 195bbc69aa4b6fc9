// The paged key-value cache: pages of kKvPageTokens tokens, reference-counted so that sequences can share them.
//
// A page holds its tokens for all layers. The constructor reserves all memory (the operating system commits it page by
// page on first write); appending takes pages from a free list and allocates nothing. Not thread-safe: used by one
// thread at a time, the engine's. The cache must outlive its sequences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "checkpoint/describe/config.h"
#include "ops/kv_layout.h"

namespace stablelm {

class KvCache {
 public:
  // dtype: IsKvType (ops/kv_layout.h). Throws Error when memory cannot be allocated.
  KvCache(const ModelConfig& config, DType dtype, int64_t n_pages);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  static int64_t PagesFor(int64_t positions) { return (positions + kKvPageTokens - 1) / kKvPageTokens; }
  // Size of a page including padding: the stride between pages.
  static size_t BytesPerPage(const ModelConfig& config, DType dtype);

  const KvLayout& layout() const { return layout_; }
  int64_t n_layers() const { return n_layers_; }
  int64_t n_pages() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  KvLayerPages Layer(int64_t layer) {
    return {.pages = memory_.data() + static_cast<size_t>(layer) * layout_.PageBytes(),
            .stride = page_stride_,
            .layout = layout_};
  }
  size_t page_stride() const { return page_stride_; }

  // Add and drop one reference; a page without references is free. For KvSequence and PrefixCache.
  void Share(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  void Release(int32_t page);
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }

 private:
  friend class KvSequence;
  int32_t Take();  // allocates a page with one reference; throws Error when none is free
  bool Shared(int32_t page) const { return references_[static_cast<size_t>(page)] > 1; }
  int32_t Copy(int32_t page);  // allocates a page with the same content

  KvLayout layout_;
  int64_t n_layers_;
  size_t page_stride_;
  AlignedBuffer<std::byte> memory_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;
};

// The cached tokens [0, length) of one sequence. Movable; releases its pages when destroyed.
class KvSequence {
 public:
  explicit KvSequence(KvCache& cache) : cache_(&cache) {}
  // Starts with full pages that others share.
  KvSequence(KvCache& cache, std::span<const int32_t> shared_pages);
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence();

  int64_t length() const { return length_; }
  KvCache& cache() const { return *cache_; }
  std::span<const int32_t> pages() const { return pages_; }

  // Reserves n more tokens, whose keys and values the forward pass then writes. Copies a shared page before it is
  // written. Throws Error and changes nothing when there are not enough free pages.
  void Append(int64_t n);
  // Number of pages that Append(n) would take.
  int64_t PagesToAppend(int64_t n) const;
  // Drops the tokens from `length` on.
  void Truncate(int64_t length);
  // Makes the pages of tokens [begin, end) exclusive to this sequence by copying the shared ones (copy on write). Call
  // it before writing to cached tokens. Throws Error and changes nothing when there are not enough free pages.
  void OwnPages(int64_t begin, int64_t end);
  // A second sequence with the same content, independent of the first. Copy on write: nothing is copied until one of
  // them appends.
  KvSequence Fork() const;

 private:
  bool LastPageMustBeCopied() const;
  KvCache* cache_;
  std::vector<int32_t> pages_;
  int64_t length_ = 0;
};

}  // namespace stablelm
