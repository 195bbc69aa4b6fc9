// Choosing a token: greedy decoding, the distribution of samples, state and truncation, fast against plain filters.
#include "generate/sampling/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "error_info.h"
#include "generate/sampling/row_testing.h"

namespace stablelm {
namespace {

using Row = std::vector<float>;
using Ids = std::vector<int32_t>;

// A sampler with its own buffers.
class Chooser {
 public:
  Chooser(const SamplerSetup& setup, size_t vocab)
      : sampler_(setup, static_cast<int64_t>(vocab)), workspace_(static_cast<int64_t>(vocab)) {}
  ChosenToken Choose(const Row& logits, int64_t generated, const Ids& ids = {}) {
    return sampler_.Choose(logits, ids, generated, workspace_);
  }
  Sampler& sampler() { return sampler_; }
  std::vector<int32_t> LastCandidates() const { return workspace_.LastCandidates(); }

 private:
  Sampler sampler_;
  SamplerWorkspace workspace_;
};

double LogOfSum(const Row& logits) {
  double total = 0;
  for (const float l : logits) total += std::exp(static_cast<double>(l));
  return std::log(total);
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  const Row logits = {0, 2, 1, 2, -1};
  Chooser greedy({}, 5);
  const ChosenToken first = greedy.Choose(logits, 0);
  EXPECT_EQ(first.id, 1);
  EXPECT_NEAR(first.logprob, 2 - LogOfSum(logits), 1e-6);
  EXPECT_TRUE(first.emptied_by.empty());
  EXPECT_TRUE(greedy.LastCandidates().empty());
  // The log-probability comes from the raw logits, regardless of bans.
  const ChosenToken second = Chooser({.banned_ids = {1, 3, -1, 1 << 30}}, 5).Choose(logits, 0);
  EXPECT_EQ(second.id, 2);
  EXPECT_NEAR(second.logprob, 1 - LogOfSum(logits), 1e-6);
}

TEST(Sampler, ProcessorsActOnGreedyChoiceToo) {
  const Row logits = {0, 3, 2, 1};
  SamplerSetup setup;
  setup.options.repetition_penalty = 4;
  EXPECT_EQ(Chooser(setup, 4).Choose(logits, 1, {1}).id, 2);
  setup.options.penalty_last_n = 1;
  EXPECT_EQ(Chooser(setup, 4).Choose(logits, 1, {1, 0}).id, 1);
  setup.options.penalty_last_n = 0;
  EXPECT_EQ(Chooser(setup, 4).Choose(logits, 1, {1}).id, 1);
  // Filters do not apply: typical_p would drop the most likely token.
  setup = {};
  setup.options.typical_p = 0.1;
  EXPECT_EQ(Chooser(setup, 4).Choose(logits, 0).id, 1);
}

TEST(Sampler, EveryProcessorHasItsParameter) {
  const Row logits = {0, 3, 2, 1};
  const auto chosen = [&](auto change, int64_t generated, const Ids& ids) {
    SamplerSetup setup;
    setup.stop_ids = {1};
    change(setup.options);
    return Chooser(setup, 4).Choose(logits, generated, ids).id;
  };
  const auto with = [&](auto field, auto value, int64_t generated, const Ids& ids) {
    return chosen([&](SamplingOptions& o) { o.*field = value; }, generated, ids);
  };
  using O = SamplingOptions;
  EXPECT_EQ(chosen([](O&) {}, 0, {}), 1);
  EXPECT_EQ(with(&O::presence_penalty, 1.5, 1, {1, 1}), 2);
  EXPECT_EQ(with(&O::presence_penalty, 0.9, 1, {1, 1}), 1);
  EXPECT_EQ(with(&O::frequency_penalty, 0.9, 1, {1, 1}), 2);
  EXPECT_EQ(with(&O::no_repeat_ngram_size, int64_t{2}, 3, {3, 1, 3}), 2);
  EXPECT_EQ(with(&O::min_length, int64_t{3}, 0, {3, 3}), 2);
  EXPECT_EQ(with(&O::min_length, int64_t{3}, 0, {3, 3, 3}), 1);
  EXPECT_EQ(with(&O::min_new_tokens, int64_t{1}, 0, {3, 3, 3}), 2);
  EXPECT_EQ(with(&O::min_new_tokens, int64_t{1}, 1, {3, 3, 3}), 1);
  EXPECT_EQ(with(&O::dry_multiplier, 5.0, 5, {3, 3, 1, 3, 3}), 2);
  EXPECT_EQ(with(&O::suppress_tokens, Ids{1}, 5, {}), 2);
  EXPECT_EQ(with(&O::begin_suppress_tokens, Ids{1}, 0, {}), 2);
  EXPECT_EQ(with(&O::begin_suppress_tokens, Ids{1}, 1, {3}), 1);
  EXPECT_EQ(with(&O::logit_bias, std::vector<LogitBias>{{3, 5}}, 0, {}), 3);
  EXPECT_EQ(with(&O::bad_words, std::vector<Ids>{{3, 1}}, 1, {3}), 2);
  EXPECT_EQ(chosen(
                [](O& o) {
                  o.length_decay_start = 2;
                  o.length_decay_factor = 0.5;
                },
                4, {}),
            2);  // 3 + 3 (0.25 - 1)
}

TEST(Sampler, MinNewTokensBansEveryStopId) {
  const Row logits = {9, 8, 7, 6, 5, 0, 4};
  SamplerSetup setup;
  setup.stop_ids = {0, 1, 2, 3, 4};
  setup.options.min_new_tokens = 2;
  Chooser greedy(setup, 7);
  EXPECT_EQ(greedy.Choose(logits, 0).id, 6);
  EXPECT_EQ(greedy.Choose(logits, 1).id, 6);
  EXPECT_EQ(greedy.Choose(logits, 2).id, 0);
}

TEST(Sampler, PaddingIsNeverChosenNorListed) {
  const Row logits = {1, 2, 0, 9, 8};
  for (const double temperature : {0.0, 1.0}) {
    SamplerSetup setup = {.known_ids = 3, .top_logprobs = 4};
    setup.options.temperature = temperature;
    Chooser chooser(setup, 5);
    for (int64_t i = 0; i < 50; ++i) {
      const ChosenToken token = chooser.Choose(logits, i);
      ASSERT_LT(token.id, 3);
      ASSERT_EQ(token.top.size(), 3u);
      EXPECT_EQ(token.top[0].id, 1);
      EXPECT_EQ(token.top[1].id, 0);
      EXPECT_EQ(token.top[2].id, 2);
      for (const TokenLogprob& t : token.top) {
        EXPECT_NEAR(t.logprob, logits[static_cast<size_t>(t.id)] - LogOfSum(logits), 1e-6);
      }
    }
  }
}

TEST(Sampler, ListsTheMostLikelyOfTheRawLogits) {
  const Philox random(61);
  const Row logits = RandomRow(5000, {.scale = 3, .ties = 60, .removed = 0}, random, 0);
  SamplerSetup setup = {.banned_ids = {0, 1, 2}, .top_logprobs = 20};
  setup.options.temperature = 0.5;
  setup.options.top_k = 1;
  Chooser chooser(setup, logits.size());
  const ChosenToken token = chooser.Choose(logits, 0);
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  ASSERT_EQ(token.top.size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(token.top[i].id, order[i]) << i;
  EXPECT_TRUE(Chooser({}, logits.size()).Choose(logits, 0).top.empty());
}

TEST(Sampler, WhenARuleRemovesAllTheBestOfThoseStays) {
  const Row logits = {0, 2, 1, 2, -1};
  // Everything banned by one step: keeps the best of all.
  const ChosenToken all = Chooser({.banned_ids = {4, 3, 2, 1, 0}}, 5).Choose(logits, 0);
  EXPECT_EQ(all.id, 1);
  EXPECT_EQ(all.emptied_by, "padding");
  // Banned by two steps in turn: keeps the best of what the first one left.
  for (const double temperature : {0.0, 0.8}) {
    SamplerSetup setup = {.banned_ids = {1, 3}};
    setup.options.temperature = temperature;
    setup.options.suppress_tokens = {0, 2, 4};
    setup.options.top_p = 0.5;
    const ChosenToken token = Chooser(setup, 5).Choose(logits, 0);
    EXPECT_EQ(token.id, 2);
    EXPECT_EQ(token.emptied_by, "suppress_tokens");
  }
  SamplerSetup words;
  words.options.bad_words = {{0}, {1}, {2}, {3}, {4}};
  EXPECT_EQ(Chooser(words, 5).Choose(logits, 0).emptied_by, "bad_words");
  SamplerSetup bias;
  for (int32_t id = 0; id < 5; ++id) bias.options.logit_bias.push_back({id, -std::numeric_limits<double>::infinity()});
  EXPECT_EQ(Chooser(bias, 5).Choose(logits, 0).emptied_by, "logit_bias");
}

// Each of two rules removes what the other would have left: the first is named.
TEST(Sampler, TheFirstRuleThatRemovesAllIsNamed) {
  SamplerSetup setup;
  setup.options.suppress_tokens = {0, 1, 2};
  setup.options.begin_suppress_tokens = {0, 1, 2};
  const Row logits = {1, 3, 2};
  EXPECT_EQ(Chooser(setup, 3).Choose(logits, 0).emptied_by, "suppress_tokens");
  Sampler sampler(setup, 3);
  SamplerWorkspace workspace(3);
  Row row = logits;
  EXPECT_EQ(sampler.Process(row, {}, 0, workspace), "suppress_tokens");
  EXPECT_EQ(row, (Row{-kInf, 3, -kInf}));
}

TEST(Sampler, NumbersBeyondTheVocabularyMeanAllOfIt) {
  Chooser chooser({.known_ids = 100, .top_logprobs = 50}, 3);
  EXPECT_EQ(chooser.Choose({1, 3, 2}, 0).top.size(), 3u);
  EXPECT_TRUE(Chooser({.top_logprobs = -1}, 3).Choose({1, 3, 2}, 0).top.empty());
}

TEST(Sampler, RefusesWhatIsNoRowOfLogits) {
  Chooser chooser({}, 3);
  for (const Row& row : {Row{0, std::nanf(""), 1}, Row{0, kInf, 1}, Row{-kInf, -kInf, -kInf}}) {
    EXPECT_THAT(InfoOf([&] { chooser.Choose(row, 0); }), Names("sampling", testing::HasSubstr("NaN")));
  }
  EXPECT_EQ(chooser.Choose({-kInf, -3, -kInf}, 0).id, 1);
  SamplerSetup bad;
  bad.options.temperature = -1;
  EXPECT_THAT(InfoOf([&] { Sampler(bad, 3); }), Names("temperature", "-1"));
}

TEST(Sampler, ADrawDependsOnSeedSampleAndIndexAlone) {
  const Row logits(50, 0.25f);
  const auto setup = [](uint64_t seed, uint64_t sample) {
    return SamplerSetup{.options = {.temperature = 1}, .seed = seed, .sample = sample};
  };
  const auto draws = [&](uint64_t seed, uint64_t sample) {
    Chooser chooser(setup(seed, sample), 50);
    Ids ids;
    for (int64_t i = 0; i < 20; ++i) ids.push_back(chooser.Choose(logits, i).id);
    return ids;
  };
  const auto reference = draws(7, 0);
  EXPECT_EQ(draws(7, 0), reference);
  EXPECT_NE(draws(8, 0), reference);
  EXPECT_NE(draws(7, 1), reference);
  EXPECT_EQ(Chooser(setup(7, 0), 50).Choose(logits, 13).id, reference[13]);
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  const Row logits = {1, 900, 3, 899.99f};
  for (const double t : {1e-300, 1e-30, 1e-5}) {
    Chooser cold({.options = {.temperature = t}, .seed = 1}, 4);
    for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(cold.Choose(logits, i).id, 1);
  }
  Chooser hot({.options = {.temperature = 1e6}, .seed = 1}, 4);
  std::vector<int> seen(4);
  for (int64_t i = 0; i < 400; ++i) ++seen[static_cast<size_t>(hot.Choose(logits, i).id)];
  for (const int n : seen) EXPECT_GT(n, 40);
}

// Samples against the filtered probabilities, for the fast and the plain chain.
class Distribution : public testing::TestWithParam<bool> {
 protected:
  // `want[id]`: the probability of each id, not necessarily normalised.
  void Expect(const SamplingOptions& options, const Row& logits, const std::vector<double>& want,
              const Ids& banned = {}, const Ids& ids = {}) {
    const uint64_t seed = RandomSeed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    constexpr int kDraws = 40000;
    Chooser chooser({.options = options, .seed = seed, .sample = 3, .banned_ids = banned, .plain = GetParam()},
                    logits.size());
    std::vector<int> seen(logits.size());
    for (int64_t i = 0; i < kDraws; ++i) ++seen[static_cast<size_t>(chooser.Choose(logits, i, ids).id)];
    EXPECT_LT(ChiSquare(seen, want), 50.0);  // at most seven degrees of freedom: probability 1e-8
  }
};
INSTANTIATE_TEST_SUITE_P(FastAndPlain, Distribution, testing::Bool());

const Row kLogits = {0.5f, -2, 1.5f, 0, 1, -kInf, 0.25f, 1.5f};

std::vector<double> Softmax(const Row& logits, double temperature, std::initializer_list<size_t> left) {
  std::vector<double> p(logits.size());
  for (const size_t id : left) p[id] = std::exp(static_cast<double>(logits[id]) / temperature);
  return p;
}

TEST_P(Distribution, Unfiltered) { Expect({.temperature = 1}, kLogits, Softmax(kLogits, 1, {0, 1, 2, 3, 4, 6, 7})); }

TEST_P(Distribution, TopKOfWhatIsNotBanned) {
  Expect({.temperature = 0.8, .top_k = 4}, kLogits, Softmax(kLogits, 0.8, {0, 2, 6, 7}), {4});
}

TEST_P(Distribution, TemperatureThenTopPThenMinP) {
  // At 0.5: 20.1, 20.1, 7.4, 2.7, 1.6, 1, ... of 53; 0.9 of it is 47.8: the first four; min_p 0.2 leaves three.
  Expect({.temperature = 0.5, .top_p = 0.9}, kLogits, Softmax(kLogits, 0.5, {0, 2, 4, 7}));
  Expect({.temperature = 0.5, .top_p = 0.9, .min_p = 0.2}, kLogits, Softmax(kLogits, 0.5, {2, 4, 7}));
}

TEST_P(Distribution, Penalties) {
  SamplingOptions options = {.temperature = 1};
  options.presence_penalty = 1;
  Row changed = kLogits;
  changed[2] -= 1;
  changed[3] -= 1;
  Expect(options, kLogits, Softmax(changed, 1, {0, 1, 2, 3, 4, 6, 7}), {}, {2, 3, 3});
}

TEST_P(Distribution, LlamaOrderPutsTheTemperatureLast) {
  SamplingOptions options = {.temperature = 3, .top_p = 0.55};
  options.sampler_order = "llama";
  // At 1: 4.48, 4.48, 2.72, 1.65, 1.28, 1, 0.14 of 15.8; 0.55 of it is 8.67: the first two.
  Expect(options, kLogits, Softmax(kLogits, 3, {2, 7}));
  options.sampler_order = "hf";  // at 3: 1.65, 1.65, 1.40, 1.18, 1.09, 1, 0.51 of 8.47; 4.66: three
  Expect(options, kLogits, Softmax(kLogits, 3, {2, 4, 7}));
}

TEST_P(Distribution, XtcAppliesAsOftenAsAsked) {
  SamplingOptions options = {.temperature = 1};
  options.xtc_probability = 0.3;
  options.xtc_threshold = 0.2;
  // Probabilities of 15.8: ids 2 and 7 have 0.28 each; when XTC applies, 2 is removed (7 has the highest id of the
  // tie).
  const std::vector<double> all = Softmax(kLogits, 1, {0, 1, 2, 3, 4, 6, 7});
  double total = 0;
  for (const double p : all) total += p;
  std::vector<double> want(all.size());
  for (size_t id = 0; id < all.size(); ++id) {
    want[id] = 0.7 * all[id] / total + (id == 2 ? 0 : 0.3 * all[id] / (total - all[2]));
  }
  Expect(options, kLogits, want);
}

TEST_P(Distribution, DynamicTemperature) {
  SamplingOptions options = {.temperature = 1};
  options.dynatemp_range = 0.5;
  const std::vector<double> p = Softmax(kLogits, 1, {0, 1, 2, 3, 4, 6, 7});
  double total = 0, entropy = 0;
  for (const double v : p) total += v;
  for (const double v : p) entropy -= v > 0 ? v / total * std::log(v / total) : 0;
  Expect(options, kLogits, Softmax(kLogits, 0.5 + entropy / std::log(7.0), {0, 1, 2, 3, 4, 6, 7}));
}

TEST(Sampler, MirostatHoldsTheSurprise) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Philox random(seed);
  SamplerSetup setup = {.options = {.temperature = 1}, .seed = seed};
  setup.options.mirostat = 2;
  setup.options.mirostat_tau = 3;
  setup.options.top_k = 1;  // has no effect
  Chooser chooser(setup, 2000);
  double bits = 0;
  for (int64_t i = 0; i < 3000; ++i) {
    const Row logits = RandomRow(2000, {.scale = 2, .ties = 0, .removed = 0}, random, static_cast<uint64_t>(i));
    chooser.Choose(logits, i);
    if (i < 500) continue;
    // Surprise among the candidates.
    const std::vector<int32_t> left = chooser.LastCandidates();
    double total = 0, mean = 0;
    for (const int32_t id : left) total += std::exp(logits[static_cast<size_t>(id)]);
    for (const int32_t id : left) {
      const double p = std::exp(logits[static_cast<size_t>(id)]) / total;
      mean -= p * std::log2(p);
    }
    bits += mean / 2500;
  }
  EXPECT_NEAR(bits, 3, 0.25);
}

// Truncation drops all state of later tokens, including mirostat's and the constraint's.
TEST(Sampler, GoesBack) {
  const Philox random(71);
  SamplerSetup setup = {.options = {.temperature = 1}, .seed = 5};
  setup.options.mirostat = 2;
  setup.options.mirostat_eta = 0.5;
  setup.options.repetition_penalty = 1.3;
  const auto row = [&](int64_t i) { return RandomRow(300, {}, random, static_cast<uint64_t>(i)); };
  Chooser straight(setup, 300), wavering(setup, 300);
  Ids ids = {1, 2};
  for (int64_t i = 0; i < 40; ++i) ids.push_back(straight.Choose(row(i), i, ids).id);
  Ids again = {1, 2};
  for (int64_t i = 0; i < 40; ++i) {
    if (i % 3 == 2) {  // two extra steps on other rows
      Ids wrong = again;
      wrong.push_back(wavering.Choose(row(900 + i), i, wrong).id);
      wavering.Choose(row(901 + i), i + 1, wrong);
      if (i % 2) wavering.sampler().Truncate(i);  // explicit, or implied by the next choice
    }
    again.push_back(wavering.Choose(row(i), i, again).id);
  }
  EXPECT_EQ(again, ids);
}

// Allows only ids above the last one.
class Rising : public TokenConstraint {
 public:
  void Apply(std::span<float> scores) override {
    const size_t least = ids.empty() ? 0 : static_cast<size_t>(ids.back()) + 1;
    for (size_t id = 0; id < std::min(least, scores.size()); ++id) scores[id] = -kInf;
  }
  void Accept(int32_t id) override { ids.push_back(id); }
  void Truncate(int64_t generated) override { ids.resize(static_cast<size_t>(generated)); }
  Ids ids;
};

TEST(Sampler, AConstraintSeesWhatIsChosen) {
  for (const double temperature : {0.0, 1.0}) {
    const auto rising = std::make_shared<Rising>();
    SamplerSetup setup = {.options = {.temperature = temperature, .top_p = 0.9}, .constraint = rising};
    Chooser chooser(setup, 100);
    const Row flat(100, 0.0f);
    Ids ids;
    int64_t n = 0;
    for (; ids.empty() || ids.back() < 99; ++n) {
      const ChosenToken token = chooser.Choose(flat, n, ids);
      EXPECT_TRUE(token.emptied_by.empty());
      ids.push_back(token.id);
      ASSERT_EQ(rising->ids, ids);
    }
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    const ChosenToken stuck = chooser.Choose(flat, n, ids);  // nothing is allowed after 99
    EXPECT_EQ(stuck.id, 0);
    EXPECT_EQ(stuck.emptied_by, "constraint");
    chooser.sampler().Truncate(0);
    EXPECT_TRUE(rising->ids.empty());
    EXPECT_EQ(chooser.Choose(flat, 0).id, ids[0]);
  }
}

// The whole chain, fast against plain filters: the same candidates and the same sampled token.
TEST(Sampler, FastEqualsPlain) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Philox random(seed);
  for (uint64_t round = 0; round < 300; ++round) {
    uint64_t next = 0;
    const auto uniform = [&] { return random.Uniform(1'000'000 + round, next++); };
    const size_t vocab = round % 10 == 0 ? 50688 : 50 + static_cast<size_t>(2000 * uniform());
    SamplerSetup setup = {.seed = seed, .sample = round, .stop_ids = {0, 1}, .banned_ids = {2}};
    setup.known_ids = static_cast<int64_t>(vocab) - 9;
    SamplingOptions& o = setup.options;
    o.temperature = 0.2 + 2 * uniform();
    if (uniform() < 0.5) o.top_k = 1 + static_cast<int64_t>(80 * uniform());
    if (uniform() < 0.5) o.top_p = uniform();
    if (uniform() < 0.5) o.min_p = 0.3 * uniform();
    if (uniform() < 0.5) o.repetition_penalty = 1 + uniform();
    if (uniform() < 0.5) o.frequency_penalty = uniform();
    if (uniform() < 0.5) o.dry_multiplier = uniform();
    if (uniform() < 0.3) o.no_repeat_ngram_size = 2;
    if (uniform() < 0.3) o.sampler_order = "llama";
    Chooser fast(setup, vocab);
    setup.plain = true;
    Chooser plain(setup, vocab);
    Ids ids = {3, 4, 3, 4};
    for (int64_t i = 0; i < 4; ++i) {
      const Row logits =
          RandomRow(vocab, {.scale = 4 * uniform(), .ties = 50}, random, 10 * round + static_cast<uint64_t>(i));
      const ChosenToken a = fast.Choose(logits, i, ids), b = plain.Choose(logits, i, ids);
      ASSERT_EQ(fast.LastCandidates(), plain.LastCandidates()) << "round " << round;
      ASSERT_EQ(a.id, b.id) << "round " << round;
      ids.push_back(a.id);
    }
  }
}

}  // namespace
}  // namespace stablelm
