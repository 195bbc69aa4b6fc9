// After a context shift, layer 0 holds the keys and values of the same tokens at their new positions; the other layers
// keep their values.
#include "model/context_shift.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "error_info.h"
#include "model/model_testing.h"
#include "ops/kv_page.h"
#include "test_paths.h"

namespace stablelm {
namespace {

struct Shift {
  int64_t length = 0, keep = 0, dropped = 0;
};
// Within a page and across pages, at page borders and not, with nothing kept and with nothing remaining.
constexpr Shift kShifts[] = {{33, 0, 1},   {64, 32, 16},  {100, 7, 32}, {100, 32, 32}, {128, 6, 61},
                             {128, 0, 64}, {128, 1, 126}, {70, 9, 61},  {31, 3, 5}};

// Key or value at one position, decoded.
std::vector<float> Vector(const KvSequence& sequence, int64_t layer, int64_t head, int64_t position, bool key) {
  KvCache& cache = sequence.cache();
  const KvLayout& layout = cache.layout();
  const int32_t page = sequence.pages()[static_cast<size_t>(position / kKvPageTokens)];
  const std::byte* at = cache.Layer(layer).Page(page);
  std::vector<float> x(static_cast<size_t>(layout.head_dim));
  (key ? ReadKeyRef : ReadValueRef)(layout, at, head, position % kKvPageTokens, x.data());
  return x;
}
float Element(const KvSequence& sequence, int64_t layer, int64_t head, int64_t position, int64_t dim, bool key) {
  return Vector(sequence, layer, head, position, key)[static_cast<size_t>(dim)];
}

std::vector<float> Elements(const KvSequence& sequence, bool keys, int64_t first_layer = 0) {
  const KvCache& cache = sequence.cache();
  std::vector<float> all;
  for (int64_t l = first_layer; l < cache.n_layers(); ++l) {
    for (int64_t h = 0; h < cache.layout().n_heads; ++h) {
      for (int64_t p = 0; p < sequence.length(); ++p) {
        const std::vector<float> x = Vector(sequence, l, h, p, keys);
        all.insert(all.end(), x.begin(), x.end());
      }
    }
  }
  return all;
}

// Scale of the key at a position in layer 0 of an 8-bit cache.
double Scale(const KvSequence& sequence, int64_t head, int64_t position) {
  float largest = 0;
  for (const float x : Vector(sequence, 0, head, position, true)) largest = std::max(largest, std::abs(x));
  return static_cast<double>(largest) / 127;  // the largest component of a key is 127 times its scale
}

class ContextShift : public testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  DType dtype() const { return std::get<1>(GetParam()); }
  const Transformer model_ = LoadModel(TestData("golden/") + std::get<0>(GetParam()));
  ThreadPool pool_{2};

  std::vector<int32_t> Ids(int64_t length) const {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < length; ++i) ids.push_back(static_cast<int32_t>((i * 37 + i * i) % 500));
    return ids;
  }
  void Compute(KvSequence& sequence, std::span<const int32_t> ids) {
    const int64_t n = static_cast<int64_t>(ids.size());
    ForwardContext ctx(model_.config(), {.context = n, .kv_type = dtype(), .max_rows = n, .threads = 2}, pool_);
    ForwardInChunks(model_, ids, sequence, ctx, {.logits_from = n}, [](int64_t, int64_t, std::span<const float>) {});
  }
};

TEST_P(ContextShift, FirstLayerIsThatOfTheTokensAtTheirNewPlaces) {
  const ModelConfig& config = model_.config();
  for (const Shift& s : kShifts) {
    if (s.length > model_.config().max_positions) continue;
    SCOPED_TRACE(testing::Message() << s.length << " keep " << s.keep << " drop " << s.dropped);
    const std::vector<int32_t> ids = Ids(s.length);
    std::vector<int32_t> rest = ids;
    rest.erase(rest.begin() + s.keep, rest.begin() + s.keep + s.dropped);
    KvCache cache(config, dtype(), 12);
    KvSequence shifted(cache), fresh(cache), before(cache);
    Compute(shifted, ids);
    Compute(before, ids);
    Compute(fresh, rest);
    ShiftContext(shifted, s.keep, s.dropped, model_.rotary(), pool_);
    ASSERT_EQ(shifted.length(), fresh.length());
    EXPECT_EQ(shifted.pages().size(), fresh.pages().size());
    for (int64_t h = 0; h < config.n_heads; ++h) {
      for (int64_t p = 0; p < fresh.length(); ++p) {
        for (int64_t d = 0; d < config.head_dim(); ++d) {
          ASSERT_EQ(Element(shifted, 0, h, p, d, false), Element(fresh, 0, h, p, d, false)) << p;
          const float got = Element(shifted, 0, h, p, d, true), want = Element(fresh, 0, h, p, d, true);
          if ((d >= config.rotary_dims && dtype() != DType::kI8) || p < s.keep) {
            ASSERT_EQ(got, want) << "head " << h << " position " << p << " dim " << d;
            continue;
          }
          // r: length of the rotated pair; u = 2^-24, half a unit of fp32. Three angles (p, the distance, p minus it)
          // are rounded to fp32, each at most `length` radians: 3 u length; the cosines and sines of each add another
          // sqrt(2) u. Each of the three rotations rounds two products and a sum, at most 3 u r. Storage as fp16 rounds
          // the key before and after the rotation, and the recomputed key: each component by 2^-11 of itself, or by
          // 2^-25 when it is too small for that; the two components before the rotation contribute at most r sqrt(2)
          // 2^-11 to one. With 8 bits each component is rounded by kQ8Error of the key's scale instead: before, after
          // and recomputed.
          const int64_t half = config.rotary_dims / 2;
          const int64_t other = d >= config.rotary_dims ? d : d < half ? d + half : d - half;
          const double r =
              std::hypot(static_cast<double>(want), static_cast<double>(Element(fresh, 0, h, p, other, true)));
          const double u = std::ldexp(1.0, -24);
          double bound = r * u * (3 * static_cast<double>(s.length) + 3 * std::sqrt(2.0) + 9) * 1.01;
          if (dtype() == DType::kF16) bound += r * 1.01 * std::ldexp(2 + std::sqrt(2.0), -11) + std::ldexp(4, -25);
          if (dtype() == DType::kI8) {
            bound += kQ8Error *
                     (std::sqrt(2.0) * Scale(before, h, p + s.dropped) + Scale(shifted, h, p) + Scale(fresh, h, p));
          }
          ASSERT_TRUE(std::abs(static_cast<double>(got) - static_cast<double>(want)) <= bound)
              << "head " << h << " position " << p << " dim " << d << ": " << got << " for " << want;
        }
      }
    }
  }
}

TEST_P(ContextShift, TheReferenceHasTheSameBitsInAllLayers) {
  for (const Shift& s : kShifts) {
    if (s.length > model_.config().max_positions) continue;
    KvCache cache(model_.config(), dtype(), 12);
    KvSequence before(cache), fast(cache), plain(cache);
    for (KvSequence* sequence : {&before, &fast, &plain}) Compute(*sequence, Ids(s.length));
    ShiftContext(fast, s.keep, s.dropped, model_.rotary(), pool_);
    ShiftContextRef(plain, s.keep, s.dropped, model_.rotary());
    ASSERT_EQ(Elements(fast, true), Elements(plain, true)) << s.length;
    ASSERT_EQ(Elements(fast, false), Elements(plain, false)) << s.length;
    // The values of every layer are unchanged.
    const int64_t last = model_.config().n_layers - 1;
    for (int64_t p = s.keep; p < fast.length(); ++p) {
      ASSERT_EQ(Element(fast, last, 1, p, 3, false), Element(before, last, 1, p + s.dropped, 3, false));
    }
  }
}

// Other sequences that share the pages are unchanged; a copy needs a page.
TEST_P(ContextShift, LeavesSharedPagesAlone) {
  const int64_t length = std::min<int64_t>(100, model_.config().max_positions), pages = KvCache::PagesFor(length);
  KvCache cache(model_.config(), dtype(), 8);
  KvSequence first(cache);
  Compute(first, Ids(length));
  KvSequence second = first.Fork();
  const std::vector<float> keys = Elements(first, true), values = Elements(first, false);
  ShiftContext(second, 40, 20, model_.rotary(), pool_);  // writes from token 40 on
  EXPECT_EQ(Elements(first, true), keys);
  EXPECT_EQ(Elements(first, false), values);
  EXPECT_EQ(second.pages()[0], first.pages()[0]);
  EXPECT_NE(second.pages()[1], first.pages()[1]);
  EXPECT_EQ(cache.free_pages(), 8 - pages - (KvCache::PagesFor(length - 20) - 1));
  second.Truncate(0);
  KvSequence third = first.Fork(), taker(cache);
  taker.Append((8 - pages - 1) * kKvPageTokens);
  // At least two pages to copy, one is free.
  EXPECT_THAT(InfoOf([&] { ShiftContext(third, 0, 20, model_.rotary(), pool_); }),
              Names("key-value cache", "1 free pages"));
  EXPECT_EQ(third.length(), length);
  EXPECT_EQ(Elements(third, true), keys);
}

INSTANTIATE_TEST_SUITE_P(Caches, ContextShift,
                         testing::Combine(testing::Values("parallel", "head128_fp16", "odd_width"),
                                          testing::Values(DType::kF32, DType::kF16, DType::kI8)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" +
                                  std::string(KvTypeName(std::get<1>(test.param)));
                         });

// Both components of a pair fit fp16, the rotated pair does not.
TEST(ContextShiftOverflow, IsAnErrorAndNoInfinity) {
  ModelConfig config;
  config.vocab_size = 8;
  config.hidden_size = 16;
  config.n_layers = 1;
  config.n_heads = 1;
  config.intermediate_size = 16;
  config.max_positions = 64;
  config.rotary_dims = 2;
  const RotaryTable rotary(2, 10000, 64);
  ThreadPool pool(1);
  for (const bool reference : {false, true}) {
    KvCache cache(config, DType::kF16, 2);
    KvSequence sequence(cache);
    sequence.Append(12);
    F16* keys = reinterpret_cast<F16*>(cache.Layer(0).pages) + cache.layout().KeyOffset(0);
    std::memset(keys, 0, cache.layout().PageBytes());
    keys[11] = keys[kKvPageTokens + 11] = ToF16(60000);  // rotated back by one radian: 60000 (cos 1 + sin 1) = 82,907
    try {
      reference ? ShiftContextRef(sequence, 5, 1, rotary) : ShiftContext(sequence, 5, 1, rotary, pool);
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("`cache=fp32`"), std::string::npos);
    }
    EXPECT_EQ(sequence.length(), 5);
  }
}

}  // namespace
}  // namespace stablelm
