// DRY by hand and against a plain search of all earlier occurrences.
#include "generate/sampling/dry.h"

#include <gmock/gmock.h>

#include "generate/sampling/logits_processors.h"
#include "generate/sampling/row_testing.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using Row = std::vector<float>;
using Ids = std::vector<int32_t>;

Row Penalties(const Ids& ids, const DryOptions& options, size_t vocab = 10, const Tokenizer* tokenizer = nullptr,
              const std::vector<std::string>& breakers = {}) {
  Row row(vocab, 0.0f);
  Dry dry(static_cast<int64_t>(vocab));
  dry.Apply(row, ids, options, tokenizer, breakers);
  const Row first = row;
  std::fill(row.begin(), row.end(), 0.0f);
  dry.Apply(row, ids, options, tokenizer, breakers);
  EXPECT_EQ(row, first);  // no state between calls
  for (float& s : row) s = -s;
  return row;
}

TEST(Dry, PenalisesWhatFollowedTheLongestRepetition) {
  const DryOptions options = {.multiplier = 2, .base = 3, .allowed_length = 2};
  // Earlier, the end 1 2 3 was followed by 4, its end 2 3 by 5, and 3 by 6: lengths 3, 2, 1.
  EXPECT_EQ(Penalties({1, 2, 3, 4, 2, 3, 5, 9, 3, 6, 1, 2, 3}, options), (Row{0, 0, 0, 0, 6, 2, 0, 0, 0, 0}));
  EXPECT_EQ(Penalties({1, 2, 3}, options), Row(10, 0.0f));
  EXPECT_EQ(Penalties({}, options), Row(10, 0.0f));
  EXPECT_EQ(Penalties({7, 7, 7, 7}, options), (Row{0, 0, 0, 0, 0, 0, 0, 6, 0, 0}));  // 7 followed 7 7 7
  // Ids outside the row.
  EXPECT_EQ(Penalties({1, 2, 50, 1, 2, -4, 1, 2}, options), Row(10, 0.0f));
}

TEST(Dry, TheExponentStaysInRange) {
  const Ids same(3000, 1);
  const Row huge = Penalties(same, {.multiplier = 1e6, .base = 1e6, .allowed_length = 1});
  EXPECT_EQ(huge[1], std::numeric_limits<float>::max());
  const Row flat = Penalties(same, {.multiplier = 0.5, .base = 1, .allowed_length = 1});
  EXPECT_EQ(flat[1], 0.5f);
}

TEST(Dry, EqualsAPlainSearch) {
  const uint64_t seed = 41;
  const Philox random(seed);
  const DryOptions options = {.multiplier = 1, .base = 1.5, .allowed_length = 2};
  for (uint64_t round = 0; round < 300; ++round) {
    Ids ids;
    for (uint64_t i = 0; i < 40; ++i) ids.push_back(static_cast<int32_t>(3 * random.Uniform(round, i)));
    std::vector<int> longest(3);
    for (size_t place = 1; place < ids.size(); ++place) {
      size_t n = 0;
      while (n < place && ids[place - 1 - n] == ids[ids.size() - 1 - n]) ++n;
      int& known = longest[static_cast<size_t>(ids[place])];
      known = std::max(known, static_cast<int>(n));
    }
    const Row got = Penalties(ids, options, 3);
    for (size_t id = 0; id < 3; ++id) {
      const float want = longest[id] >= 2 ? static_cast<float>(std::pow(1.5, longest[id] - 2)) : 0.0f;
      ASSERT_EQ(got[id], want) << "round " << round << ", id " << id;
    }
  }
}

class DryWithText : public testing::Test {
 protected:
  Ids Encode(const std::string& text) const {
    Ids ids;  // byte by byte
    for (const char c : text) ids.push_back(tokenizer_.Encode(std::string(1, c)).at(0));
    return ids;
  }
  size_t After(const std::string& text, size_t most, const std::vector<std::string>& breakers) const {
    std::string scratch;
    return IdsAfterBreaker(Encode(text), most, tokenizer_, breakers, scratch);
  }
  const Tokenizer tokenizer_ = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"));
};

TEST_F(DryWithText, CountsTheIdsBehindTheLastBreaker) {
  EXPECT_EQ(After("ab:cd", 5, {":"}), 2u);
  EXPECT_EQ(After("ab:cd", 2, {":"}), 2u);
  EXPECT_EQ(After("ab:cd", 1, {":"}), 1u);
  EXPECT_EQ(After("ab:c:", 4, {":"}), 0u);
  EXPECT_EQ(After("abcd", 4, {":", "*"}), 4u);
  EXPECT_EQ(After("ab<->cd", 7, {"<->"}), 2u);
  EXPECT_EQ(After("ab<->cd", 3, {"<->"}), 2u);  // starts before the last `most` ids
  EXPECT_EQ(After("a*b:cd", 6, {":", "*"}), 2u);
  EXPECT_EQ(After("abcd", 4, {}), 4u);
}

TEST_F(DryWithText, ARepetitionEndsAtABreaker) {
  const DryOptions options = {.multiplier = 1, .base = 2, .allowed_length = 2};
  const size_t vocab = static_cast<size_t>(tokenizer_.size());
  const Ids ids = Encode("xy:abcz.xy:abc");
  const size_t z = static_cast<size_t>(Encode("z")[0]);
  EXPECT_EQ(Penalties(ids, options, vocab)[z], 16);                     // "xy:abc": 6
  EXPECT_EQ(Penalties(ids, options, vocab, &tokenizer_, {":"})[z], 2);  // "abc": 3
  EXPECT_EQ(Penalties(ids, options, vocab, &tokenizer_, {"b"})[z], 0);  // "c": 1
  EXPECT_EQ(Penalties(ids, options, vocab, &tokenizer_, {"xy:"})[z], 2);
  EXPECT_EQ(Penalties(ids, options, vocab, &tokenizer_, {"?"})[z], 16);
  EXPECT_EQ(Penalties(ids, options, vocab, &tokenizer_, {"z"})[z], 0);  // a breaker itself
}

}  // namespace
}  // namespace stablelm
