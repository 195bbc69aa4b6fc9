// The paged cache of keys and values: pages of kKvPageTokens positions, handed to sequences, shared between them by
// counting references.
//
// A page holds its positions for all layers. All memory is reserved when the cache is made (the system gives it page by
// page, when first written); appending takes pages from a free list and allocates nothing. One thread at a time: the
// engine's. The cache outlives its sequences.
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
  // dtype: IsKvType (ops/kv_layout.h). Throws Error when the memory is not there.
  KvCache(const ModelConfig& config, DType dtype, int64_t n_pages);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  static int64_t PagesFor(int64_t positions) { return (positions + kKvPageTokens - 1) / kKvPageTokens; }
  // What a page takes, padding included: the distance from one to the next.
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

  // One holder more, one fewer; a page without holders is free. For KvSequence and PrefixCache.
  void Share(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  void Release(int32_t page);
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }

 private:
  friend class KvSequence;
  int32_t Take();  // a page with one reference; throws Error when none is free
  bool Shared(int32_t page) const { return references_[static_cast<size_t>(page)] > 1; }
  int32_t Copy(int32_t page);  // a new page with the same content

  KvLayout layout_;
  int64_t n_layers_;
  size_t page_stride_;
  AlignedBuffer<std::byte> memory_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;
};

// The positions [0, length) of one sequence. Movable; gives its pages back when destroyed.
class KvSequence {
 public:
  explicit KvSequence(KvCache& cache) : cache_(&cache) {}
  // Starts with the content of whole pages that others hold too.
  KvSequence(KvCache& cache, std::span<const int32_t> shared_pages);
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence();

  int64_t length() const { return length_; }
  KvCache& cache() const { return *cache_; }
  std::span<const int32_t> pages() const { return pages_; }

  // Makes room for n more positions, whose content the forward pass then writes. A page shared with another sequence is
  // copied before it is written. Throws Error, with nothing changed, when pages run out.
  void Append(int64_t n);
  // Pages that Append(n) would take.
  int64_t PagesToAppend(int64_t n) const;
  // Forgets the positions from `length` on.
  void Truncate(int64_t length);
  // Gives the positions [begin, end) pages of the sequence's own, copies of those that others hold too: whoever writes
  // into the past does this first. Throws Error, with nothing changed, when pages run out.
  void OwnPages(int64_t begin, int64_t end);
  // A second sequence with the same content; both go on independently. Nothing is copied until one of them appends.
  KvSequence Fork() const;

 private:
  bool LastPageMustBeCopied() const;
  KvCache* cache_;
  std::vector<int32_t> pages_;
  int64_t length_ = 0;
};

}  // namespace stablelm
