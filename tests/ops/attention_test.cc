#include "ops/attention.h"

#include "base/aligned_buffer.h"
#include "ops/finite.h"
#include "ops/op_testing.h"

namespace stablelm {
namespace {

// A cache of one layer with pages in scrambled order, filled with NaN, and a ragged batch on it.
struct Scene {
  Scene(int64_t heads, int64_t dims, DType type, std::vector<std::pair<int64_t, int64_t>> start_rows, uint64_t seed)
      : layout{.n_heads = heads, .head_dim = dims, .dtype = type}, rotary(dims >= 4 ? dims / 4 * 2 : 2, 10000, 2048) {
    for (const auto& [start, rows] : start_rows) {
      std::vector<int32_t> ids;
      for (int64_t p = 0; p * kKvPageTokens < start + rows; ++p) ids.push_back(n_pages++);
      std::reverse(ids.begin(), ids.end());
      page_ids.push_back(ids);
    }
    cache = AlignedBuffer<std::byte>(static_cast<size_t>(n_pages) * layout.PageBytes(), "test cache");
    std::memset(cache.data(), 0xFF, cache.size());  // NaN in both float types and in scales
    int64_t row = 0;
    for (size_t i = 0; i < start_rows.size(); ++i) {
      const auto [start, rows] = start_rows[i];
      all.push_back({.row_begin = row, .rows = start + rows, .start = 0, .pages = page_ids[i]});
      row += start + rows;
    }
    qkv = RandomNormals(static_cast<size_t>(row * heads * 3 * dims), seed);
  }
  AttentionInput Input(float* qkv_rows, float* out, std::span<const AttentionSequence> sequences) {
    return {.qkv = qkv_rows,
            .qkv_layout = qkv_layout,
            .out = out,
            .sequences = sequences,
            .cache = {.pages = cache.data(), .stride = layout.PageBytes(), .layout = layout},
            .rotary = &rotary};
  }

  KvLayout layout;
  QkvLayout qkv_layout = QkvLayout::PerHead(layout.head_dim);
  RotaryTable rotary;
  int32_t n_pages = 0;
  std::vector<std::vector<int32_t>> page_ids;
  std::vector<AttentionSequence> all;  // every token of every sequence, from position 0
  AlignedBuffer<std::byte> cache;
  std::vector<float> qkv;
};

TEST(Attention, FastBodyHoldsToTheReference) {
  ForEachSimdTarget([] {
    ThreadPool pool(3);
    for (const auto& [heads, dims] : {std::pair<int64_t, int64_t>{2, 128}, {3, 20}, {1, 2}, {4, 33}, {1, 80}}) {
      for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
        SCOPED_TRACE(testing::Message() << heads << " heads of " << dims << " " << KvTypeName(type));
        Scene scene(heads, dims, type, {{0, 1}, {0, 31}, {0, 65}, {0, 530}}, 21);
        const size_t rows = scene.qkv.size() / static_cast<size_t>(3 * heads * dims);
        ExecutionContext exec(pool, 1, 1);
        GuardedFloats out(rows * static_cast<size_t>(heads * dims));
        std::vector<float> want(rows * static_cast<size_t>(heads * dims));
        GuardedFloats lse(rows * static_cast<size_t>(heads));
        std::vector<float> want_lse(lse.span().size());
        AttentionInput in = scene.Input(scene.qkv.data(), out.data(), scene.all);
        ASSERT_TRUE(StoreKeysValues(in, exec));
        Attend(in, exec);
        const std::vector<float> without(out.span().begin(), out.span().end());
        in.log_sum_exp = lse.data();
        Attend(in, exec);
        ASSERT_EQ(std::memcmp(out.data(), without.data(), without.size() * sizeof(float)), 0);
        AttentionInput plain = scene.Input(scene.qkv.data(), want.data(), scene.all);
        plain.log_sum_exp = want_lse.data();
        AttendRef(plain);
        out.Check();
        lse.Check();
        // Scores are chains over D of products of normals (|q||k| <= ~2 D): off by at most D eps * 2 D / sqrt(D); that
        // is the relative error of each weight. Values are below 6; the output chain adds 530 eps of them at most. With
        // 8-bit keys and values (below 6 as well), queries and weights are rounded, by what Q8ScoreError and
        // kQ8ValueError have beyond kQ8Error; tanh(E / 2) <= E / 2, for a range of values of 12.
        const double d = static_cast<double>(dims);
        double bound = (2 * d * std::sqrt(d) * kEps + 600 * kEps) * 6;
        if (type == DType::kI8) {
          bound += Q8ScoreError(scene.layout, 6.0 / 127, 0, 6) / 2 * 12 + (kQ8ValueError - kQ8Error) * 6 / 127;
        }
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_TRUE(Near(out.span()[i], want[i], bound)) << i << ": " << out.span()[i] << " " << want[i];
        }
        // The log-sum-exp moves by at most what a score moves. The sum of up to 530 exponentials, each off by 4
        // roundings at most, adds 540 eps; rounding a maximum and the result, below 2 sqrt(D) + 7, adds the rest.
        double lse_bound = 2 * d * std::sqrt(d) * kEps + 540 * kEps + 2 * (2 * std::sqrt(d) + 7) * kEps;
        if (type == DType::kI8) lse_bound += Q8ScoreError(scene.layout, 6.0 / 127, 0, 6);
        for (size_t i = 0; i < want_lse.size(); ++i) {
          ASSERT_TRUE(Near(lse.span()[i], want_lse[i], lse_bound)) << i << ": " << lse.span()[i] << " " << want_lse[i];
        }
      }
    }
  });
}

// Sequences give the same bits computed whole, alone, in chunks of any size, and with any number of threads.
TEST(Attention, ChunksBatchesAndThreadsDoNotChangeBits) {
  ForEachSimdTarget([] {
    for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
      const int64_t heads = 2, dims = 20, row_floats = 3 * heads * dims;
      const std::vector<std::pair<int64_t, int64_t>> shape = {{0, 300}, {0, 37}};
      Scene whole(heads, dims, type, shape, 22);
      std::vector<float> want(337 * heads * dims);
      ThreadPool pool(1), many(3);
      ExecutionContext exec(pool, 1, 1), many_exec(many, 1, 1);
      auto in = whole.Input(whole.qkv.data(), want.data(), whole.all);
      ASSERT_TRUE(StoreKeysValues(in, exec));
      Attend(in, exec);
      for (const int64_t chunk : {1, 3, 32, 50, 256}) {
        Scene parts(heads, dims, type, shape, 22);
        std::vector<float> got(want.size());
        for (int64_t begin = 0; begin < 300; begin += chunk) {
          // One step of both sequences together: a batch with the rows of one after those of the other.
          std::vector<AttentionSequence> step;
          std::vector<float> rows;
          std::vector<int64_t> source;
          for (size_t s = 0; s < 2; ++s) {
            const int64_t total = shape[s].second, n = std::min(chunk, total - begin);
            if (n <= 0) continue;
            step.push_back({.row_begin = static_cast<int64_t>(source.size()),
                            .rows = n,
                            .start = begin,
                            .pages = parts.page_ids[s]});
            for (int64_t r = 0; r < n; ++r) source.push_back(parts.all[s].row_begin + begin + r);
          }
          for (const int64_t r : source) {
            rows.insert(rows.end(), parts.qkv.begin() + r * row_floats, parts.qkv.begin() + (r + 1) * row_floats);
          }
          std::vector<float> out(source.size() * static_cast<size_t>(heads * dims));
          auto part = parts.Input(rows.data(), out.data(), step);
          ASSERT_TRUE(StoreKeysValues(part, many_exec));
          Attend(part, many_exec);
          for (size_t i = 0; i < source.size(); ++i) {
            std::copy_n(out.begin() + static_cast<int64_t>(i) * heads * dims, heads * dims,
                        got.begin() + source[i] * heads * dims);
          }
        }
        ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
            << KvTypeName(type) << " chunk " << chunk;
      }
    }
  });
}

// The same values in the order of GGUF's rows give the same bits.
TEST(Attention, TheOrderOfTheRowsDoesNotChangeBits) {
  ForEachSimdTarget([] {
    const int64_t heads = 3, dims = 20, rows = 70, parts = 3;
    for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
      Scene per_head(heads, dims, type, {{0, rows}}, 24), stacked(heads, dims, type, {{0, rows}}, 24);
      stacked.qkv_layout = QkvLayout::Stacked(heads, dims);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t p = 0; p < parts; ++p) {
            std::copy_n(per_head.qkv.begin() + ((r * heads + h) * parts + p) * dims, dims,
                        stacked.qkv.begin() + ((r * parts + p) * heads + h) * dims);
          }
        }
      }
      ThreadPool pool(2);
      ExecutionContext exec(pool, 1, 1);
      std::vector<float> fast[2], plain[2];
      for (Scene* scene : {&per_head, &stacked}) {
        const size_t i = scene == &stacked;
        fast[i].resize(static_cast<size_t>(rows * heads * dims));
        plain[i] = fast[i];
        const AttentionInput in = scene->Input(scene->qkv.data(), fast[i].data(), scene->all);
        ASSERT_TRUE(StoreKeysValues(in, exec));
        Attend(in, exec);
        AttendRef(scene->Input(scene->qkv.data(), plain[i].data(), scene->all));
      }
      EXPECT_EQ(std::memcmp(fast[0].data(), fast[1].data(), fast[0].size() * sizeof(float)), 0);
      EXPECT_EQ(plain[0], plain[1]);
      EXPECT_EQ(std::memcmp(per_head.cache.data(), stacked.cache.data(), stacked.cache.size()), 0);
    }
  });
}

// StoreKeysValues writes what the reference loops of ops/kv_page.h write, bit for bit, padding and scales included.
TEST(Attention, PagesHoldWhatTheReferenceWrites) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const auto& [heads, dims] : {std::pair<int64_t, int64_t>{2, 128}, {3, 20}, {1, 2}, {2, 33}, {1, 80}}) {
      for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
        SCOPED_TRACE(testing::Message() << heads << " heads of " << dims << " " << KvTypeName(type));
        Scene scene(heads, dims, type, {{0, 1}, {0, 70}}, 25);
        // A value of only zeros, one too small for 8 bits, and one with a single large element.
        float* const first = scene.qkv.data();
        std::fill_n(first + 2 * dims, dims, 0.0f);
        std::fill_n(first + 3 * heads * dims + dims, 2 * dims, 1e-31f);
        first[2 * 3 * heads * dims + dims] = 1e4f;
        AlignedBuffer<std::byte> want(scene.cache.size(), "expected cache");
        std::memcpy(want.data(), scene.cache.data(), want.size());
        ASSERT_TRUE(StoreKeysValues(scene.Input(scene.qkv.data(), nullptr, scene.all), exec));
        for (const AttentionSequence& s : scene.all) {
          for (int64_t r = 0; r < s.rows; ++r) {
            std::byte* page = want.data() + static_cast<size_t>(s.pages[static_cast<size_t>(r / kKvPageTokens)]) *
                                                scene.layout.PageBytes();
            for (int64_t h = 0; h < heads; ++h) {
              const float* row = scene.qkv.data() + ((s.row_begin + r) * heads + h) * 3 * dims;  // rotated by now
              ASSERT_TRUE(WriteKeyRef(scene.layout, page, h, r % kKvPageTokens, row + dims));
              ASSERT_TRUE(WriteValueRef(scene.layout, page, h, r % kKvPageTokens, row + 2 * dims));
            }
          }
        }
        ASSERT_EQ(std::memcmp(scene.cache.data(), want.data(), want.size()), 0);
      }
    }
  });
}

// An 8-bit cache against an fp32 cache, within the bound that ops/attention.h derives.
TEST(Attention, EightBitsCostWhatTheHeaderSays) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    for (const auto& [heads, dims] : {std::pair<int64_t, int64_t>{2, 128}, {3, 20}, {1, 2}}) {
      SCOPED_TRACE(testing::Message() << heads << " heads of " << dims);
      const size_t width = static_cast<size_t>(dims);
      Scene exact(heads, dims, DType::kF32, {{0, 300}}, 26), small(heads, dims, DType::kI8, {{0, 300}}, 26);
      std::vector<float> want(300 * static_cast<size_t>(heads * dims)), got(want.size());
      for (const auto& [scene, out] : {std::pair{&exact, &want}, {&small, &got}}) {
        const AttentionInput in = scene->Input(scene->qkv.data(), out->data(), scene->all);
        ASSERT_TRUE(StoreKeysValues(in, exec));
        Attend(in, exec);
      }
      const AttentionSequence& s = exact.all[0];
      double moved = 0, allowed = 0;
      for (int64_t h = 0; h < heads; ++h) {
        float key_scale = 0, value_scale = 0;  // the largest of the tokens so far
        std::vector<float> v(width), low(width, INFINITY), high(width, -INFINITY);
        for (int64_t r = 0; r < s.rows; ++r) {
          const size_t page = static_cast<size_t>(s.pages[static_cast<size_t>(r / kKvPageTokens)]);
          const std::byte* const at = small.cache.data() + page * small.layout.PageBytes();
          key_scale = std::max(key_scale, small.layout.KeyScales(at, h)[r % kKvPageTokens]);
          value_scale = std::max(value_scale, small.layout.ValueScales(at, h)[r % kKvPageTokens]);
          ReadValueRef(exact.layout, exact.cache.data() + page * exact.layout.PageBytes(), h, r % kKvPageTokens,
                       v.data());
          const float* q = exact.qkv.data() + (r * heads + h) * 3 * dims;
          double length = 0, largest = 0;  // |q|_1, |q|_max
          for (size_t i = 0; i < width; ++i) {
            low[i] = std::min(low[i], v[i]);
            high[i] = std::max(high[i], v[i]);
            length += std::abs(static_cast<double>(q[i]));
            largest = std::max(largest, std::abs(static_cast<double>(q[i])));
          }
          const double d = static_cast<double>(dims);
          const double score = Q8ScoreError(small.layout, static_cast<double>(key_scale), length, largest);
          // As in FastBodyHoldsToTheReference, for each of the two caches.
          const double arithmetic = 2 * (2 * d * std::sqrt(d) * kEps + 600 * kEps) * 6;
          for (size_t i = 0; i < width; ++i) {
            const double range = static_cast<double>(high[i]) - static_cast<double>(low[i]);
            const double bound = std::tanh(score / 2) * range + kQ8ValueError * static_cast<double>(value_scale);
            const size_t index = static_cast<size_t>((r * heads + h) * dims) + i;
            ASSERT_TRUE(Near(got[index], want[index], bound + arithmetic)) << "row " << r << " " << i;
            moved += std::abs(static_cast<double>(got[index]) - static_cast<double>(want[index]));
            allowed += bound;
          }
        }
      }
      EXPECT_GT(moved, allowed / 1000);  // the bound is not vacuous
    }
  });
}

// One non-finite element of a key or value makes the outputs of later tokens non-finite. Softmax alone would give such
// a key the weight zero.
TEST(Attention, ANonFiniteKeyOrValueIsNotHidden) {
  ForEachSimdTarget([] {
    ThreadPool pool(2);
    ExecutionContext exec(pool, 1, 1);
    const int64_t dims = 20, rows = 40, bad_row = 3;
    for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
      for (const int64_t part : {1, 2}) {
        for (const float bad : {NAN, INFINITY}) {
          if (part == 1 && bad == INFINITY && type != DType::kI8) {
            continue;  // a score of minus infinity is a weight of 0
          }
          Scene scene(1, dims, type, {{0, rows}}, 27);
          scene.qkv[static_cast<size_t>((bad_row * 3 + part) * dims + 17)] = bad;
          std::vector<float> out(static_cast<size_t>(rows * dims));
          const AttentionInput in = scene.Input(scene.qkv.data(), out.data(), scene.all);
          ASSERT_TRUE(StoreKeysValues(in, exec));
          Attend(in, exec);
          for (int64_t r = bad_row; r < rows; ++r) {
            const std::span<const float> row = std::span(out).subspan(static_cast<size_t>(r * dims), dims);
            ASSERT_LT(FirstNonFinite(row.data(), row.size()), row.size())
                << KvTypeName(type) << " part " << part << " " << bad << " row " << r;
          }
        }
      }
    }
  });
}

TEST(Attention, OverflowOfAnFp16CacheIsReported) {
  ThreadPool pool(2);
  ExecutionContext exec(pool, 1, 1);
  for (const size_t part : std::initializer_list<size_t>{1u, 2u}) {  // key, value
    Scene scene(1, 16, DType::kF16, {{0, 3}}, 23);
    std::vector<float> out(3 * 16);
    scene.qkv[(2 * 3 + part) * 16 + 15] = 70000.0f;
    EXPECT_FALSE(StoreKeysValues(scene.Input(scene.qkv.data(), out.data(), scene.all), exec));
  }
  Scene scene(1, 16, DType::kF32, {{0, 3}}, 23);
  std::vector<float> out(3 * 16);
  scene.qkv[16] = 70000.0f;
  EXPECT_TRUE(StoreKeysValues(scene.Input(scene.qkv.data(), out.data(), scene.all), exec));
}

}  // namespace
}  // namespace stablelm
