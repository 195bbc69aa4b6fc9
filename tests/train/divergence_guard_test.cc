// What the guard does about a loss that jumps and about values that are not finite, and that it continues from a state.
#include "train/divergence_guard.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "error_info.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig SmallConfig() {
  ModelConfig c;
  c.vocab_size = 11;
  c.hidden_size = 8;
  c.n_layers = 1;
  c.n_heads = 1;
  c.intermediate_size = 8;
  c.max_positions = 8;
  c.rotary_dims = 2;
  return c;
}

// Steps without a model: their losses are given.
class GuardTest : public testing::Test {
 protected:
  // One step; returns whether it was applied.
  bool Step(DivergenceGuard& guard, double loss) {
    StepLog step = {.step = ++step_, .steps = 1000, .loss = loss};
    step.skipped = !guard.AllowsUpdate(step);
    After(guard, step);
    return !step.skipped;
  }
  void NotFinite(DivergenceGuard& guard) {
    StepLog step = {.step = ++step_, .steps = 1000, .loss = std::nan(""), .skipped = true, .overflow = "layer 3"};
    const Error error(ErrorInfo{.what = "not finite"});
    if (!guard.Forgives(step, error)) throw Error(error);
    After(guard, step);
  }
  void After(DivergenceGuard& guard, const StepLog& step) {
    const std::function<void(const JsonValue&)> log = [&](const JsonValue& object) {
      log_.push_back(json::parse(object.Dump()));
    };
    guard.AfterStep({.step = step, .parameters = *parameters_, .pass = pass_, .pool = pool_, .log = log});
  }
  // Losses about 2, with a deviation of 0.1.
  void Begin(DivergenceGuard& guard, int steps) {
    for (int i = 0; i < steps; ++i) EXPECT_TRUE(Step(guard, i % 2 == 0 ? 1.9 : 2.1));
  }
  int64_t step_ = 0;
  std::vector<json> log_;
  ThreadPool pool_{1};
  std::unique_ptr<Parameters> parameters_ = RandomParameters(SmallConfig(), pool_);
  GradientPass pass_{*parameters_, {.max_tokens = 4}, pool_};
};

TEST_F(GuardTest, ASpikeIsAboveTheMeanByDeviationsOfTheWindow) {
  DivergenceGuard guard({.on_spike = OnSpike::kSkip, .spike_z = 10});
  Begin(guard, 40);
  EXPECT_TRUE(Step(guard, 2.99));
  DivergenceGuard again({.on_spike = OnSpike::kSkip, .spike_z = 10});
  Begin(again, 40);
  EXPECT_TRUE(log_.empty());
  EXPECT_FALSE(Step(again, 3.01));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_EQ(log_[0].at("event"), "guard");
  EXPECT_EQ(log_[0].at("found"), "spike");
  EXPECT_EQ(log_[0].at("action"), "skip");
  EXPECT_EQ(log_[0].at("loss"), 3.01);
  EXPECT_NEAR(log_[0].at("mean"), 2.0, 1e-9);
  EXPECT_NEAR(log_[0].at("deviation"), 0.1, 1e-9);
  EXPECT_NEAR(log_[0].at("z"), 10.1, 1e-6);
  // A loss that was skipped is not learned, one that falls is none.
  EXPECT_FALSE(Step(again, 3.01));
  EXPECT_TRUE(Step(again, 0.1));
}

TEST_F(GuardTest, JudgesFromTheTwentyFirstUpdateOn) {
  DivergenceGuard guard({.on_spike = OnSpike::kSkip});
  Begin(guard, 19);
  EXPECT_TRUE(Step(guard, 50));
  DivergenceGuard later({.on_spike = OnSpike::kSkip});
  Begin(later, 20);
  EXPECT_FALSE(Step(later, 50));
}

// Losses that are nearly equal would make anything a spike.
TEST_F(GuardTest, TakesATwentiethOfANatForTheDeviationAtLeast) {
  for (const auto& [loss, applied] : {std::pair{2.49, true}, std::pair{2.51, false}}) {
    DivergenceGuard guard({.on_spike = OnSpike::kSkip, .spike_z = 10});
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(Step(guard, 2));
    EXPECT_EQ(Step(guard, loss), applied);
  }
}

TEST_F(GuardTest, TheWindowIsTheLastHundredUpdates) {
  DivergenceGuard guard({.on_spike = OnSpike::kSkip, .spike_z = 10});
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(Step(guard, 9));
  for (int i = 0; i < 99; ++i) EXPECT_TRUE(Step(guard, 1));
  EXPECT_TRUE(Step(guard, 1));  // the last 9 is in the window until now
  EXPECT_FALSE(Step(guard, 1.51));
}

TEST_F(GuardTest, StopEndsTheRunAndLogsIt) {
  DivergenceGuard guard({});
  Begin(guard, 40);
  EXPECT_THAT(InfoOf([&] { Step(guard, 7); }), Names("training step 41", HasSubstr("7.0000, 50.0 deviations")));
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_EQ(log_[0].at("action"), "stop");
}

TEST_F(GuardTest, LowerHalvesTheRateOfTheStepAndBeginsANewWindow) {
  DivergenceGuard guard({.on_spike = OnSpike::kLower});
  Begin(guard, 40);
  EXPECT_EQ(guard.RateFactor(), 1);
  EXPECT_TRUE(guard.AllowsUpdate({.step = 41, .loss = 7}));
  EXPECT_EQ(guard.RateFactor(), 0.5);  // asked again before the update
  After(guard, {.step = 41, .loss = 7});
  EXPECT_EQ(log_.at(0).at("rate_factor"), 0.5);
  for (int i = 0; i < 18; ++i) EXPECT_TRUE(Step(guard, 2));
  EXPECT_TRUE(Step(guard, 2000));  // the twentieth of the new window
  EXPECT_EQ(guard.RateFactor(), 0.5);
  EXPECT_TRUE(Step(guard, 1e6));
  EXPECT_EQ(guard.RateFactor(), 0.25);
}

TEST_F(GuardTest, ForgivesValuesThatAreNotFiniteWhenAsked) {
  DivergenceGuard strict({});
  EXPECT_THROW(NotFinite(strict), Error);
  DivergenceGuard guard({.on_not_finite = OnNotFinite::kSkip, .max_skipped = 3});
  for (int i = 0; i < 3; ++i) NotFinite(guard);
  EXPECT_EQ(log_.at(0).at("found"), "not finite");
  EXPECT_EQ(log_.at(0).at("place"), "layer 3");
  EXPECT_TRUE(Step(guard, 2));  // a step that is applied restores the budget
  for (int i = 0; i < 3; ++i) NotFinite(guard);
  const ErrorInfo info = InfoOf([&] { NotFinite(guard); });
  EXPECT_THAT(info, Names("training step 9", "4"));
  EXPECT_THAT(info.what, HasSubstr("layer 3"));
}

TEST_F(GuardTest, ContinuesFromItsState) {
  DivergenceGuard guard({.on_spike = OnSpike::kLower});
  Begin(guard, 130);
  Step(guard, 9);
  Begin(guard, 30);
  DivergenceGuard resumed({.on_spike = OnSpike::kLower});
  resumed.Restore(json::parse(guard.State().Dump()), 161);
  for (const double loss : {2.5, 1.7, 8.0, 2.0}) {
    EXPECT_EQ(Step(resumed, loss), Step(guard, loss));
    EXPECT_EQ(resumed.RateFactor(), guard.RateFactor());
    EXPECT_EQ(resumed.State().Dump(), guard.State().Dump());
  }
}

TEST_F(GuardTest, RefusesADamagedState) {
  const json good = json::parse(DivergenceGuard({}).State().Dump());
  const auto refused = [&](const char* key, const json& value, const std::string& found) {
    json state = good;
    state[key] = value;
    DivergenceGuard guard({});
    EXPECT_THAT(InfoOf([&] { guard.Restore(state, 5); }), Names(HasSubstr(key), found));
  };
  refused("losses", "many", "\"many\"");
  refused("losses", json::array({1, nullptr}), "[1,null]");
  refused("rate_factor", 0, "0");
  refused("rate_factor", 2, "2");
  refused("skipped", -1, "-1");
  DivergenceGuard guard({});
  EXPECT_THAT(InfoOf([&] { guard.Restore(json::object(), 5); }), Names(HasSubstr("losses"), "nothing"));
}

}  // namespace
}  // namespace stablelm
