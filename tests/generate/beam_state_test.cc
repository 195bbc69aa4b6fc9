// Tests the bookkeeping of a beam search against an exhaustive search over a small vocabulary, and each of its rules.
#include "generate/beam_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"

namespace stablelm {
namespace {

constexpr int32_t kVocab = 3, kStop = 0;

// A toy model: a distribution over the next id for every text.
class ToyModel {
 public:
  explicit ToyModel(uint64_t seed) : random_(seed) {}
  double LogProb(const std::vector<int32_t>& text, int32_t id) const {
    uint64_t place = 1;
    for (const int32_t t : text) place = place * kVocab + static_cast<uint64_t>(t) + 1;
    double total = 0;
    for (int32_t v = 0; v < kVocab; ++v) total += Weight(place, v);
    return std::log(Weight(place, id) / total);
  }

 private:
  double Weight(uint64_t place, int32_t id) const {
    return std::exp(3 * random_.Uniform(static_cast<uint64_t>(id), place));
  }
  Philox random_;
};

std::vector<Beam> Search(const ToyModel& model, const BeamOptions& options, int64_t length) {
  BeamState state(options, 1, length);
  bool goes_on = true;
  while (goes_on) {
    std::vector<BeamCandidate> candidates;
    for (size_t parent = 0; parent < state.running().size(); ++parent) {
      const Beam& beam = state.running()[parent];
      for (int32_t id = 0; id < kVocab; ++id) {
        const double lp = model.LogProb(beam.ids, id);
        candidates.push_back({.parent = parent, .id = id, .logprob = lp, .sum = beam.sum + lp, .is_stop = id == kStop});
      }
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.resize(std::min(candidates.size(), state.CandidatesWanted()));
    goes_on = state.Advance(candidates, false);
  }
  return state.Best();
}

// Enumerates every text that ends with the stop id or has the full length.
void Enumerate(const ToyModel& model, const BeamOptions& options, int64_t length, const Beam& from,
               std::vector<Beam>& all) {
  for (int32_t id = 0; id < kVocab; ++id) {
    Beam beam = from;
    beam.sum += model.LogProb(from.ids, id);
    beam.ids.push_back(id);
    const int64_t n = static_cast<int64_t>(beam.ids.size());
    if (id == kStop || n == length) {
      beam.score = beam.sum / std::pow(static_cast<double>(n), options.length_penalty);
      all.push_back(beam);
    } else {
      Enumerate(model, options, length, beam, all);
    }
  }
}

TEST(BeamState, WideEnoughItIsExhaustive) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const ToyModel model(seed);
    for (const double penalty : {-1.0, 0.0, 0.5, 1.0, 2.0}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", length penalty " << penalty);
      const BeamOptions options = {
          .beams = 81, .num_return = 31, .length_penalty = penalty, .early_stopping = EarlyStopping::kNever};
      std::vector<Beam> want;
      Enumerate(model, options, 4, {}, want);
      ASSERT_EQ(want.size(), 31u);
      std::sort(want.begin(), want.end(), [](const Beam& a, const Beam& b) { return a.score > b.score; });
      const std::vector<Beam> got = Search(model, options, 4);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].ids, want[i].ids) << i;
        EXPECT_DOUBLE_EQ(got[i].score, want[i].score);
        EXPECT_EQ(got[i].stopped, got[i].ids.back() == kStop);
        EXPECT_EQ(got[i].logprobs.size(), got[i].ids.size());
      }
    }
  }
}

TEST(BeamState, OneBeamIsGreedy) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const ToyModel model(seed);
    std::vector<int32_t> greedy;
    while (greedy.size() < 8 && (greedy.empty() || greedy.back() != kStop)) {
      int32_t best = 0;
      for (int32_t id = 1; id < kVocab; ++id) {
        if (model.LogProb(greedy, id) > model.LogProb(greedy, best)) best = id;
      }
      greedy.push_back(best);
    }
    const auto got = Search(model, {.beams = 1}, 8);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].ids, greedy) << "seed " << seed;
  }
}

BeamCandidate Next(size_t parent, int32_t id, double sum) {
  return {.parent = parent, .id = id, .logprob = sum, .sum = sum, .is_stop = id == kStop};
}

TEST(BeamState, AnEndCountsOnlyAmongTheFirst) {
  BeamState state({.beams = 2, .num_return = 2}, 1, 10);
  EXPECT_EQ(state.CandidatesWanted(), 4u);
  const std::vector<BeamCandidate> step = {Next(0, 1, -1), Next(0, 2, -2), Next(0, kStop, -3)};
  EXPECT_TRUE(state.Advance(step, false));
  EXPECT_EQ(state.running().size(), 2u);
  EXPECT_THAT(state.parents(), testing::ElementsAre(0, 0));
  // Nothing is finished: the stop ranked third.
  const std::vector<Beam> best = state.Best();
  EXPECT_EQ(best[0].ids, std::vector<int32_t>{1});
  EXPECT_FALSE(best[0].stopped);
}

TEST(BeamState, EarlyStopping) {
  // Two beams are finished; a longer text could still improve the running beams.
  const std::vector<BeamCandidate> first = {Next(0, kStop, -1), Next(0, 1, -1.5), Next(0, 2, -1.6)};
  const std::vector<BeamCandidate> second = {Next(0, kStop, -1.7), Next(0, 1, -1.8), Next(1, 2, -1.9)};
  const auto after = [&](EarlyStopping early, double penalty) {
    BeamState state({.beams = 2, .num_return = 2, .length_penalty = penalty, .early_stopping = early}, 1, 10);
    EXPECT_TRUE(state.Advance(first, false));
    return state.Advance(second, false);
  };
  EXPECT_FALSE(after(EarlyStopping::kTrue, 1));
  // Finished: -1 and -1.7 / 2 = -0.85, the worst -1. Running: -1.8 / 2 = -0.9 now, -0.18 at the maximum length.
  EXPECT_TRUE(after(EarlyStopping::kFalse, 1));
  EXPECT_TRUE(after(EarlyStopping::kNever, 1));
  // Without a penalty sums only decrease: -1.8 cannot beat -1.7.
  EXPECT_FALSE(after(EarlyStopping::kFalse, 0));
  EXPECT_FALSE(after(EarlyStopping::kNever, 0));
}

// The two differ in the length at which a running beam is judged: its own, or the greatest if that favours it.
TEST(BeamState, NeverJudgesRunningBeamsAtTheGreatestLength) {
  const std::vector<BeamCandidate> first = {Next(0, kStop, -1), Next(0, 1, -1.5), Next(0, 2, -1.6)};
  const auto after = [&](EarlyStopping early, double penalty, const std::vector<BeamCandidate>& second) {
    BeamState state({.beams = 2, .num_return = 2, .length_penalty = penalty, .early_stopping = early}, 1, 10);
    EXPECT_TRUE(state.Advance(first, false));
    return state.Advance(second, false);
  };
  // Penalty 1. Finished: -1 and -1.7 / 2, the worst -1. Running: -2.1 / 2 now, -2.1 / 10 at the greatest length.
  const std::vector<BeamCandidate> better_when_long = {Next(0, kStop, -1.7), Next(0, 1, -2.1), Next(1, 2, -2.2)};
  EXPECT_FALSE(after(EarlyStopping::kFalse, 1, better_when_long));
  EXPECT_TRUE(after(EarlyStopping::kNever, 1, better_when_long));
  // Penalty -1. Finished: -1 and -1.7 * 2, the worst -3.4. Running: -1.65 * 2 now, -1.65 * 10 at the greatest length.
  const std::vector<BeamCandidate> worse_when_long = {Next(0, 1, -1.65), Next(0, kStop, -1.7), Next(1, 2, -1.9)};
  EXPECT_TRUE(after(EarlyStopping::kFalse, -1, worse_when_long));
  EXPECT_TRUE(after(EarlyStopping::kNever, -1, worse_when_long));
}

TEST(BeamState, RunningBeamsJoinTheFinishedOnesInTheOrderOfScores) {
  BeamState state({.beams = 2, .num_return = 2}, 1, 10);
  EXPECT_TRUE(state.Best().empty());  // the running beam has no token yet
  const std::vector<BeamCandidate> step = {Next(0, 1, -1), Next(0, kStop, -5), Next(0, 2, -6)};
  EXPECT_TRUE(state.Advance(step, false));
  const std::vector<Beam> best = state.Best();
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].ids, std::vector<int32_t>{1});
  EXPECT_EQ(best[0].score, -1);
  EXPECT_EQ(best[1].ids, std::vector<int32_t>{kStop});
  EXPECT_EQ(best[1].score, -5);
}

// Finished beams are kept best first, as many as there are beams.
TEST(BeamState, TheWorstFinishedBeamGivesWay) {
  BeamState state({.beams = 2, .num_return = 2, .length_penalty = 0}, 1, 10);
  EXPECT_TRUE(state.Advance(std::vector{Next(0, 1, -1), Next(0, kStop, -5), Next(0, 2, -6)}, false));
  EXPECT_TRUE(state.Advance(std::vector{Next(0, 1, -2), Next(0, kStop, -3), Next(0, 2, -4)}, false));
  // -3.5 would beat -5, but that is no longer the worst.
  EXPECT_FALSE(state.Advance(std::vector{Next(0, kStop, -2.5), Next(0, 1, -3.5), Next(0, 2, -3.6)}, false));
  const std::vector<Beam> best = state.Best();
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].score, -2.5);
  EXPECT_EQ(best[1].score, -3);
}

TEST(BeamState, TheLastStepFinishesTheFirstOnes) {
  BeamState state({.beams = 2, .num_return = 2}, 1, 1);
  const std::vector<BeamCandidate> step = {Next(0, 1, -1), Next(0, kStop, -2), Next(0, 2, -3)};
  EXPECT_FALSE(state.Advance(step, false));
  const std::vector<Beam> best = state.Best();
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].ids, std::vector<int32_t>{1});
  EXPECT_EQ(best[1].ids, std::vector<int32_t>{kStop});
  EXPECT_TRUE(best[1].stopped);
}

TEST(BeamState, OptionsAreChecked) {
  const auto error = [](const BeamOptions& options) -> std::string {
    try {
      CheckBeamOptions(options);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error({.beams = 4, .num_return = 4}), "no error");
  EXPECT_THAT(error({.beams = 0}), testing::HasSubstr("beams: out of range: found 0, expected 1 to 256"));
  EXPECT_THAT(error({.beams = 4, .num_return = 5}), testing::HasSubstr("num_return: out of range: found 5"));
  EXPECT_THAT(error({.num_return = 0}), testing::HasSubstr("num_return"));
  EXPECT_THAT(error({.length_penalty = std::nan("")}), testing::HasSubstr("length_penalty"));
}

}  // namespace
}  // namespace stablelm
