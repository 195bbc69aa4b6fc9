#include "train/loss_scale.h"

#include <gtest/gtest.h>

#include <limits>

#include "error_info.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

void Good(LossScaler& scaler, int64_t steps) {
  for (int64_t i = 0; i < steps; ++i) scaler.Update(false);
}

TEST(LossScale, HalvesWhenTheHysteresisIsUsedUp) {
  LossScaler scaler({.hysteresis = 2});
  EXPECT_EQ(scaler.state(), (LossScaleState{.scale = 4096, .hysteresis = 2, .last_overflow = -1, .steps = 0}));
  scaler.Update(true);
  EXPECT_EQ(scaler.state(),
            (LossScaleState{.scale = 4096, .hysteresis = 1, .last_overflow = 0, .steps = 1, .in_a_row = 1}));
  scaler.Update(true);
  EXPECT_EQ(scaler.state(),
            (LossScaleState{.scale = 2048, .hysteresis = 1, .last_overflow = 1, .steps = 2, .in_a_row = 2}));
  scaler.Update(true);
  EXPECT_EQ(scaler.state(),
            (LossScaleState{.scale = 1024, .hysteresis = 1, .last_overflow = 2, .steps = 3, .in_a_row = 3}));
}

TEST(LossScale, DoublesAfterAWindow) {
  LossScaler scaler({});
  Good(scaler, 999);
  EXPECT_EQ(scaler.scale(), 4096);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 8192);
  Good(scaler, 999);
  EXPECT_EQ(scaler.scale(), 8192);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 16384);
}

TEST(LossScale, TheWindowBeginsAtAnOverflow) {
  LossScaler scaler({.hysteresis = 2});
  Good(scaler, 500);
  scaler.Update(true);  // step 500
  Good(scaler, 999);    // to step 1499
  EXPECT_EQ(scaler.state(), (LossScaleState{.scale = 4096, .hysteresis = 1, .last_overflow = 500, .steps = 1500}));
  scaler.Update(false);  // step 1500
  EXPECT_EQ(scaler.state(), (LossScaleState{.scale = 8192, .hysteresis = 2, .last_overflow = 500, .steps = 1501}));
}

TEST(LossScale, HysteresisOfTheCard) {
  LossScaler scaler({.hysteresis = 20});
  for (int i = 0; i < 19; ++i) scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 4096);
  EXPECT_EQ(scaler.state().hysteresis, 1);
  scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 2048);
}

TEST(LossScale, OneOverflowHalvesWithoutHysteresis) {
  LossScaler scaler({.hysteresis = 1});
  scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 2048);
}

TEST(LossScale, ConsecutiveHysteresisReturnsAtAGoodStep) {
  LossScaler scaler({.hysteresis = 2, .consecutive_hysteresis = true});
  for (int i = 0; i < 5; ++i) {
    scaler.Update(true);
    EXPECT_EQ(scaler.state().hysteresis, 1);
    scaler.Update(false);
    EXPECT_EQ(scaler.state().hysteresis, 2);
  }
  EXPECT_EQ(scaler.scale(), 4096);
  LossScaler other({.hysteresis = 2});
  other.Update(true);
  other.Update(false);
  EXPECT_EQ(other.state().hysteresis, 1);
}

TEST(LossScale, StaysBelowItsLimit) {
  LossScaler scaler({.initial = 1 << 23, .window = 1});
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 1 << 24);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 1 << 24);
}

TEST(LossScale, EndsTheRunAtTheSmallestScale) {
  LossScaler scaler({.initial = 1.5, .hysteresis = 2});
  scaler.Update(true);
  scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 1);  // not 0.75
  const LossScaleState before = scaler.state();
  const ErrorInfo info = InfoOf([&] { scaler.Update(true); });
  EXPECT_THAT(info, Names("loss scale", HasSubstr("1 at step 2")));
  EXPECT_THAT(info.hint, HasSubstr("bf16"));
  EXPECT_EQ(scaler.state(), before);

  LossScaler fresh({.initial = 1, .hysteresis = 2});
  fresh.Update(true);  // allowed by the hysteresis
  EXPECT_EQ(fresh.scale(), 1);
  EXPECT_THAT(InfoOf([&] { fresh.Update(true); }), Names("loss scale", HasSubstr("step 1")));
}

// With a hysteresis as long as this the smallest scale is far away.
TEST(LossScale, EndsTheRunAfterTooManyOverflowsInARow) {
  LossScaler scaler({.min = 1e-9, .hysteresis = 100, .max_skipped = 3});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) scaler.Update(true);
    scaler.Update(false);
  }
  for (int i = 0; i < 3; ++i) scaler.Update(true);
  const LossScaleState before = scaler.state();
  const ErrorInfo error = InfoOf([&] { scaler.Update(true); });
  EXPECT_THAT(error, Names("loss scale", "4, at scale 4096"));
  EXPECT_EQ(error.expected, "at most 3");
  EXPECT_THAT(error.hint, testing::HasSubstr("bf16"));
  EXPECT_EQ(scaler.state(), before);
  scaler.Restore(before);  // a resumed run ends where the uninterrupted one does
  EXPECT_THROW(scaler.Update(true), Error);
  // The default leaves room for the card's hysteresis and for all halvings from 2^16.
  LossScaler card({.initial = 65536, .hysteresis = 20});
  for (int i = 0; i < 19 + 16; ++i) card.Update(true);
  EXPECT_EQ(card.scale(), 1);
}

TEST(LossScale, ContinuesFromItsState) {
  const LossScaleOptions options = {.window = 7, .hysteresis = 3};
  LossScaler whole(options);
  for (int i = 0; i < 100; ++i) {
    LossScaler continued(options);
    continued.Restore(whole.state());
    const bool overflow = i * i % 11 == 3;
    whole.Update(overflow);
    continued.Update(overflow);
    ASSERT_EQ(continued.state(), whole.state()) << i;
  }
}

TEST(LossScale, RefusesAStateThatCannotBe) {
  LossScaler scaler({.hysteresis = 2});
  const LossScaleState good = {.scale = 64, .hysteresis = 1, .last_overflow = 4, .steps = 9};
  scaler.Restore(good);
  auto bad = good;
  bad.scale = 0.5;
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: loss scale", "0.5"));
  bad = good;
  bad.scale = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: loss scale", "nan"));
  bad = good;
  bad.hysteresis = 3;
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: hysteresis of the loss scale", "3"));
  bad = good;
  bad.in_a_row = 10;
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: overflows in a row", "10"));
  bad = good;
  bad.last_overflow = 9;
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: last overflow of the loss scale", "9"));
  bad = {.scale = 64, .hysteresis = 1, .last_overflow = 0, .steps = 0};  // its first good step would end a window
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: last overflow of the loss scale", "0"));
  scaler.Restore({.scale = 64, .hysteresis = 2, .last_overflow = -1, .steps = 0});
  scaler.Restore(good);
  bad = good;
  bad.steps = -1;
  EXPECT_THAT(InfoOf([&] { scaler.Restore(bad); }), Names("checkpoint: steps of the loss scale", "-1"));
  EXPECT_EQ(scaler.state(), good);
}

TEST(LossScale, RefusesOptionsWithoutSense) {
  EXPECT_THAT(InfoOf([] { LossScaler({.initial = 0.5}); }), Names("loss scale", "0.5"));
  EXPECT_THAT(InfoOf([] { LossScaler({.initial = 1 << 25}); }), Names("loss scale", "33554432"));
  EXPECT_THAT(InfoOf([] { LossScaler({.min = 0}); }), Names("smallest loss scale", "0"));
  EXPECT_THAT(InfoOf([] { LossScaler({.max = 0.5}); }), Names("largest loss scale", "0.5"));
  EXPECT_THAT(InfoOf([] { LossScaler({.window = 0}); }), Names("window of the loss scale", "0"));
  EXPECT_THAT(InfoOf([] { LossScaler({.max_skipped = 0}); }), Names("skipped steps in a row", "0"));
  EXPECT_THAT(InfoOf([] { LossScaler({.hysteresis = 0}); }), Names("hysteresis of the loss scale", "0"));
}

}  // namespace
}  // namespace stablelm
