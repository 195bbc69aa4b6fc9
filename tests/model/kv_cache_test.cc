#include "model/kv_cache.h"

#include <gmock/gmock.h>

#include "error_info.h"

namespace stablelm {
namespace {

ModelConfig SmallConfig() {
  ModelConfig config;
  config.vocab_size = 8;
  config.hidden_size = 40;
  config.n_layers = 2;
  config.n_heads = 2;
  config.intermediate_size = 16;
  config.max_positions = 1024;
  config.rotary_dims = 4;
  return config;
}

TEST(KvCache, BytesCountPaddedHeads) {
  // 2 layers x (K and V) x 2 heads x 32 (20 padded) x 32 tokens x 2 bytes
  EXPECT_EQ(KvCache::BytesPerPage(SmallConfig(), DType::kF16), 2u * 2 * 2 * 32 * 32 * 2);
  // 1 byte, plus 4 for each layer, K or V, head and token
  EXPECT_EQ(KvCache::BytesPerPage(SmallConfig(), DType::kI8), 2u * 2 * 2 * 32 * (32 + 4));
}

// The page stride does not map all pages to the same CPU cache sets.
TEST(KvCache, LargePagesAreSetApart) {
  ModelConfig config = SmallConfig();
  config.n_layers = 16;
  config.n_heads = 32;
  config.hidden_size = 32 * 128;
  for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
    KvCache cache(config, type, 1);
    const size_t bytes = 16 * cache.layout().PageBytes();
    ASSERT_EQ(bytes % (64 << 10), 0u);
    EXPECT_EQ(cache.page_stride(), bytes + 4096);
    EXPECT_EQ(cache.n_layers(), 16);
  }
}

// Layers, elements and scales of a page do not overlap, fill the page, and start at aligned addresses.
TEST(KvCache, PartsOfAPage) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
    KvCache cache(SmallConfig(), type, 3);
    const KvLayout& layout = cache.layout();
    std::byte* const page = cache.Layer(1).Page(1);
    EXPECT_EQ(cache.n_layers(), 2);
    EXPECT_EQ(layout.PageBytes() % 64, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(page) % 64, 0u);
    const size_t head = 32 * 32 * BytesOf(type);
    for (int64_t h = 0; h < 2; ++h) {
      EXPECT_EQ(static_cast<size_t>(layout.KeyOffset(h)) * BytesOf(type), static_cast<size_t>(h) * head);
      EXPECT_EQ(static_cast<size_t>(layout.ValueOffset(h)) * BytesOf(type), static_cast<size_t>(2 + h) * head);
    }
    if (!layout.scaled()) continue;
    EXPECT_EQ(reinterpret_cast<std::byte*>(layout.KeyScales(page, 0)), page + 4 * head);
    EXPECT_EQ(layout.KeyScales(page, 1), layout.KeyScales(page, 0) + 32);
    EXPECT_EQ(layout.ValueScales(page, 0), layout.KeyScales(page, 0) + 64);
    EXPECT_EQ(layout.ValueScales(page, 1), layout.KeyScales(page, 0) + 96);
    EXPECT_EQ(reinterpret_cast<std::byte*>(layout.ValueScales(page, 1) + 32), page + layout.PageBytes());
  }
}

TEST(KvCache, AppendTruncateForkCountPages) {
  KvCache cache(SmallConfig(), DType::kF32, 5);
  {
    KvSequence a(cache);
    a.Append(33);
    EXPECT_EQ(a.pages().size(), 2u);
    EXPECT_EQ(cache.free_pages(), 3);
    KvSequence b = a.Fork();
    EXPECT_EQ(cache.free_pages(), 3);
    EXPECT_EQ(b.PagesToAppend(1), 1);  // the shared, partly filled page must be copied
    b.Append(1);
    EXPECT_EQ(b.pages()[0], a.pages()[0]);
    EXPECT_NE(b.pages()[1], a.pages()[1]);
    EXPECT_EQ(a.PagesToAppend(31), 0);  // its page is no longer shared
    a.Truncate(32);
    EXPECT_EQ(cache.free_pages(), 3);
    KvSequence c = a.Fork();
    EXPECT_EQ(c.PagesToAppend(1), 1);  // a full shared page is not copied
    c.Append(1);
    EXPECT_EQ(c.pages()[0], a.pages()[0]);
    EXPECT_EQ(cache.free_pages(), 2);
    EXPECT_THAT(InfoOf([&] { c.Append(4 * kKvPageTokens); }),
                Names("key-value cache", testing::StartsWith("2 free pages")));
    EXPECT_EQ(c.length(), 33);
    EXPECT_EQ(cache.free_pages(), 2);
    KvSequence moved = std::move(c);
    EXPECT_EQ(moved.length(), 33);
    EXPECT_EQ(c.length(), 0);  // NOLINT(bugprone-use-after-move): moved-from is empty
  }
  EXPECT_EQ(cache.free_pages(), 5);
}

}  // namespace
}  // namespace stablelm
