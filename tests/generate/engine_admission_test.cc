// Tests when the engine admits a request: pages of the cache, common beginnings, and the order of submission.
#include <gtest/gtest.h>

#include <deque>

#include "generate/engine.h"
#include "generate/engine_testing.h"
#include "model/model_testing.h"
#include "test_paths.h"

namespace stablelm {
namespace {

// `n` tokens that begin like those of no other `first`.
std::vector<int32_t> Tokens(int32_t first, size_t n) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = (first + static_cast<int32_t>(i) * 7) % 500;
  return ids;
}

// One engine with a cache of a few pages, and what its requests gave.
class EngineAdmission : public testing::Test {
 protected:
  void Make(int64_t pages, bool share_prefixes, int64_t max_batch_rows = 256) {
    engine_.emplace(model_,
                    EngineSettings{.cache_positions = pages * kKvPageTokens,
                                   .max_batch_rows = max_batch_rows,
                                   .share_prefixes = share_prefixes},
                    pool_);
  }
  const Outcome& Submit(std::vector<int32_t> prompt, int64_t tokens) {
    Outcome& outcome = outcomes_.emplace_back();
    EngineCallbacks callbacks = Into(outcome);
    callbacks.reply.on_token = [this, n = outcomes_.size() - 1, add = callbacks.reply.on_token](const auto& token) {
      if (outcomes_[n].streamed.empty()) begun_.push_back(n);
      add(token);
    };
    requests_.push_back(Alone(std::move(prompt), tokens));
    engine_->Submit({.generate = requests_.back()}, std::move(callbacks));
    return outcome;
  }
  std::pair<int64_t, int64_t> RunningAndWaiting() const {
    const EngineStats stats = engine_->Stats();
    return {stats.running, stats.waiting};
  }
  void FinishAll() {
    while (engine_->Step()) {
    }
    for (size_t i = 0; i < outcomes_.size(); ++i) {
      SCOPED_TRACE(i);
      EXPECT_EQ(outcomes_[i].ends, 1);
      EXPECT_EQ(outcomes_[i].result.error, "");
      ExpectSame(outcomes_[i].result.generated, Solo(model_, requests_[i]));
    }
    ExpectNothingLeft(*engine_);
  }

  const Transformer model_ = LoadModel(TestData("golden/parallel"));
  ThreadPool pool_{1};
  std::deque<Outcome> outcomes_;  // a deque, so that they stay where they are
  std::vector<GenerateRequest> requests_;
  std::vector<size_t> begun_;  // requests in the order of their first tokens
  std::optional<Engine> engine_;
};

using Counts = std::pair<int64_t, int64_t>;

// The pages of its tokens and one more, but none that its longest text does not fill: its last token is not computed.
TEST_F(EngineAdmission, WantsOnePageMoreUpToTheLongestText) {
  const struct {
    size_t prompt;
    int64_t tokens, pages;
  } kCases[] = {{1, 32, 1},  {1, 33, 2},  {32, 1, 1},  {32, 2, 2}, {33, 32, 2},
                {33, 33, 3}, {33, 90, 3}, {64, 32, 3}, {64, 1, 2}};
  for (const auto& of : kCases) {
    SCOPED_TRACE(std::to_string(of.prompt) + " and " + std::to_string(of.tokens));
    Make(6, false);
    for (int i = 0; i < 7; ++i) Submit(Tokens(i, of.prompt), of.tokens);
    engine_->Step();
    EXPECT_EQ(engine_->Stats().waiting, 7 - 6 / of.pages);
  }
}

TEST_F(EngineAdmission, KeepsThePagesThatRunningRequestsWillWant) {
  Make(3, false);
  Submit(Tokens(0, 1), 60);  // takes one page now, two in the end
  engine_->Step();
  EXPECT_EQ(engine_->Stats().free_pages, 2);
  Submit(Tokens(1, 1), 60);
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(1, 1));
  FinishAll();
  EXPECT_EQ(engine_->Stats().preemptions, 0);
}

TEST_F(EngineAdmission, CachedPrefixesGiveWay) {
  Make(3, true);
  Submit(Tokens(0, 90), 6);  // its two whole pages stay
  while (engine_->Step()) {
  }
  EXPECT_EQ(engine_->Stats().prefix_pages, 2);
  Submit(Tokens(1, 33), 60);
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(1, 0));
  FinishAll();
}

TEST_F(EngineAdmission, NobodyOvertakesARequestThatWaitsForPages) {
  Make(4, false);
  Submit(Tokens(0, 1), 40);
  engine_->Step();
  Submit(Tokens(1, 40), 40);  // wants three pages, and two are not reserved
  Submit(Tokens(2, 1), 5);    // would fit
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(1, 2));
  FinishAll();
  EXPECT_EQ(begun_, (std::vector<size_t>{0, 1, 2}));
}

// A request waits while a running prefill computes whole pages that it can share. Others overtake it.
TEST_F(EngineAdmission, WaitsForACommonBeginningThatIsBeingComputed) {
  Make(16, true, 48);
  std::vector<int32_t> end_differs = Tokens(0, 100), first_page_differs = Tokens(0, 100);
  end_differs[70] = 501;
  first_page_differs[31] = 501;
  Submit(Tokens(0, 100), 5);
  const Outcome& waits = Submit(end_differs, 5);
  Submit(first_page_differs, 5);
  Submit(Tokens(1, 3), 5);
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(3, 1));
  engine_->Step();  // computes up to 96 tokens of the first
  EXPECT_EQ(RunningAndWaiting(), Counts(3, 1));
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(4, 0));
  FinishAll();
  EXPECT_EQ(waits.result.generated.known_positions, 64);
}

// Pages that a reply fills are shared when it ends. Waiting for that would take longer than to compute them.
TEST_F(EngineAdmission, DoesNotWaitForAReply) {
  Make(16, true);
  const Outcome& reply = Submit(Tokens(0, 20), 60);
  for (int i = 0; i < 25; ++i) engine_->Step();
  std::vector<int32_t> text = Tokens(0, 20);
  text.insert(text.end(), reply.streamed.begin(), reply.streamed.end());
  ASSERT_EQ(text.size(), 45u);
  const Outcome& same = Submit(text, 5);
  engine_->Step();
  EXPECT_EQ(RunningAndWaiting(), Counts(2, 0));
  FinishAll();
  EXPECT_EQ(same.result.generated.known_positions, 0);
}

TEST_F(EngineAdmission, APreemptedRequestFindsItsPagesAgain) {
  Make(4, true);
  const Outcome& stays = Submit(Tokens(0, 1), 80);
  const Outcome& preempted = Submit(Tokens(1, 1), 80);
  FinishAll();
  EXPECT_EQ(stays.result.preemptions, 0);
  EXPECT_EQ(preempted.result.preemptions, 1);
  EXPECT_EQ(engine_->Stats().prefix_rows, 32);               // of two pages one was evicted
  EXPECT_EQ(preempted.result.generated.known_positions, 0);  // when it was first admitted
}

TEST_F(EngineAdmission, TextsAreSharedWhenTheyEnd) {
  for (const bool share : {false, true}) {
    Make(8, share);
    const Outcome& first = Submit(Tokens(0, 20), 20);  // the prompt alone fills no page
    while (engine_->Step()) {
    }
    EXPECT_EQ(engine_->Stats().prefix_pages, share ? 1 : 0);
    std::vector<int32_t> next_turn = Tokens(0, 20);
    next_turn.insert(next_turn.end(), first.streamed.begin(), first.streamed.end());
    const Outcome& next = Submit(next_turn, 3);
    while (engine_->Step()) {
    }
    EXPECT_EQ(next.result.generated.known_positions, share ? 32 : 0);
    EXPECT_EQ(engine_->Stats().prefix_pages, share ? 1 : 0);
    ExpectNothingLeft(*engine_);
  }
}

}  // namespace
}  // namespace stablelm
