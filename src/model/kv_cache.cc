#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace stablelm {

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t n_pages)
    : layout_{.n_heads = config.n_heads, .head_dim = config.head_dim(), .dtype = dtype},
      n_layers_(config.n_layers),
      page_stride_(BytesPerPage(config, dtype)),
      memory_(page_stride_ * static_cast<size_t>(n_pages), "key-value cache"),
      references_(static_cast<size_t>(n_pages), 0) {
  STABLELM_CHECK(IsKvType(dtype));
  free_.reserve(static_cast<size_t>(n_pages));
  for (int64_t p = n_pages; p-- > 0;) free_.push_back(static_cast<int32_t>(p));  // low page indices are used first
}

size_t KvCache::BytesPerPage(const ModelConfig& config, DType dtype) {
  const KvLayout layout{.n_heads = config.n_heads, .head_dim = config.head_dim(), .dtype = dtype};
  const size_t bytes = static_cast<size_t>(config.n_layers) * layout.PageBytes();
  // Attention reads the same head in page after page. If the stride between pages were a multiple of 32 KiB, all these
  // reads would map to the same few CPU cache sets and evict each other.
  constexpr size_t kSets = size_t{32} << 10, kApart = size_t{4} << 10;
  return bytes % kSets == 0 ? bytes + kApart : bytes;
}

int32_t KvCache::Take() {
  if (free_.empty()) {
    throw Error({.where = "key-value cache",
                 .what = "all " + std::to_string(n_pages()) + " pages of " + std::to_string(kKvPageTokens) +
                         " positions are in use",
                 .hint = "ask for a longer context or fewer sequences at a time"});
  }
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvCache::Release(int32_t page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  STABLELM_CHECK(count > 0);
  if (--count == 0) free_.push_back(page);  // within the reserved capacity: no allocation
}

int32_t KvCache::Copy(int32_t page) {
  const int32_t copy = Take();
  std::memcpy(memory_.data() + static_cast<size_t>(copy) * page_stride_,
              memory_.data() + static_cast<size_t>(page) * page_stride_, page_stride_);
  return copy;
}

KvSequence::KvSequence(KvCache& cache, std::span<const int32_t> shared_pages)
    : cache_(&cache),
      pages_(shared_pages.begin(), shared_pages.end()),
      length_(static_cast<int64_t>(pages_.size()) * kKvPageTokens) {
  for (const int32_t page : pages_) cache.Share(page);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : cache_(other.cache_), pages_(std::exchange(other.pages_, {})), length_(std::exchange(other.length_, 0)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(pages_, other.pages_);
  std::swap(length_, other.length_);
  return *this;
}

KvSequence::~KvSequence() { Truncate(0); }

bool KvSequence::LastPageMustBeCopied() const { return length_ % kKvPageTokens != 0 && cache_->Shared(pages_.back()); }

int64_t KvSequence::PagesToAppend(int64_t n) const {
  if (n == 0) return 0;
  return KvCache::PagesFor(length_ + n) - static_cast<int64_t>(pages_.size()) + (LastPageMustBeCopied() ? 1 : 0);
}

void KvSequence::Append(int64_t n) {
  STABLELM_CHECK(n >= 0);
  if (PagesToAppend(n) > cache_->free_pages()) {
    throw Error({.where = "key-value cache",
                 .what = "no room for " + std::to_string(n) + " more positions",
                 .found = std::to_string(cache_->free_pages()) + " free pages of " + std::to_string(kKvPageTokens) +
                          " positions",
                 .expected = std::to_string(PagesToAppend(n)),
                 .hint = "ask for a longer context or fewer sequences at a time"});
  }
  if (n > 0 && LastPageMustBeCopied()) {
    const int32_t copy = cache_->Copy(pages_.back());
    cache_->Release(std::exchange(pages_.back(), copy));
  }
  while (static_cast<int64_t>(pages_.size()) < KvCache::PagesFor(length_ + n)) pages_.push_back(cache_->Take());
  length_ += n;
}

void KvSequence::Truncate(int64_t length) {
  STABLELM_CHECK(length >= 0 && length <= length_);
  length_ = length;
  while (static_cast<int64_t>(pages_.size()) > KvCache::PagesFor(length)) {
    cache_->Release(pages_.back());
    pages_.pop_back();
  }
}

void KvSequence::OwnPages(int64_t begin, int64_t end) {
  STABLELM_CHECK(begin >= 0 && begin <= end && end <= length_);
  const auto pages = std::span(pages_).subspan(static_cast<size_t>(begin / kKvPageTokens),
                                               static_cast<size_t>(KvCache::PagesFor(end) - begin / kKvPageTokens));
  const auto shared = std::ranges::count_if(pages, [&](int32_t page) { return cache_->Shared(page); });
  if (shared > cache_->free_pages()) {
    throw Error({.where = "key-value cache",
                 .what = "no room for copies of shared pages",
                 .found = std::to_string(cache_->free_pages()) + " free pages",
                 .expected = std::to_string(shared),
                 .hint = "ask for a longer context or fewer sequences at a time"});
  }
  for (int32_t& page : pages) {
    if (!cache_->Shared(page)) continue;
    const int32_t copy = cache_->Copy(page);
    cache_->Release(std::exchange(page, copy));
  }
}

KvSequence KvSequence::Fork() const {
  KvSequence other(*cache_);
  other.pages_ = pages_;
  other.length_ = length_;
  for (const int32_t page : pages_) cache_->Share(page);
  return other;
}

}  // namespace stablelm
