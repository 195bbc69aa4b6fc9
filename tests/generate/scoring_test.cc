// Log-probabilities of given tokens against the reference, and the calls of the sinks.
#include "generate/scoring.h"

#include <cmath>

#include "generate/prompt_logprobs.h"
#include "golden_paths.h"
#include "model/model_testing.h"
#include "model/pass_hooks.h"

namespace stablelm {
namespace {

// Fails for NaN.
void ExpectNear(std::span<const float> got, std::span<const float> want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) ASSERT_TRUE(std::abs(got[i] - want[i]) <= 2e-5f) << what << "[" << i << "]";
}

// After a preemption rows come again; padding is not listed.
TEST(PromptLogprobs, EveryTokenIsScoredOnce) {
  const std::vector<int32_t> ids = {0, 1, 2, 1};
  const std::vector<float> logits = {1, 2, 3, 3, 2, 1, 0, 5, 1, 9, 9, 9};  // [4, 3]
  TopLogprobs finder(3);
  const auto rows = [&](size_t first, size_t n) { return std::span(logits).subspan(3 * first, 3 * n); };
  for (const int64_t known : {0, 2, 5}) {
    const TopWanted top = {.finder = &finder, .wanted = 3, .known_ids = known};
    PromptLogprobs whole, parts;
    AddPromptLogprobs(ids, 0, logits, 3, top, whole);
    ASSERT_EQ(whole.logprobs.size(), 3u);
    EXPECT_DOUBLE_EQ(whole.logprobs[0], 2 - std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)));
    AddPromptLogprobs(ids, 0, rows(0, 2), 3, top, parts);
    EXPECT_EQ(parts.logprobs.size(), 2u);
    AddPromptLogprobs(ids, 0, rows(0, 2), 3, top, parts);
    AddPromptLogprobs(ids, 1, rows(1, 3), 3, top, parts);
    EXPECT_EQ(parts.logprobs, whole.logprobs);
    ASSERT_EQ(parts.top.size(), 3u);
    for (const auto& best : parts.top) EXPECT_EQ(best.size(), known == 2 ? 2u : 3u);
    EXPECT_EQ(parts.top[0][0].id, known == 2 ? 1 : 2);
  }
}

TEST(Scoring, LogProbabilitiesAreTheReferences) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const SafetensorsFile expected(folder / "expected.safetensors");
    if (!expected.Find("token_logprobs")) continue;
    const Transformer model = LoadModel(folder);
    const std::vector<float> want = Floats(expected, "token_logprobs");
    const TensorView tokens = expected.Get("tokens");
    ThreadPool pool(2);
    Scorer scorer(model, ShapeOfScore(tokens.shape[1], DType::kF32, 2), pool);
    std::vector<float> got;
    for (int64_t row = 0; row < tokens.shape[0]; ++row) {
      for (const double lp : scorer.Score(Ids(expected, "tokens", row))) got.push_back(static_cast<float>(lp));
    }
    ExpectNear(got, want, "token_logprobs");
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(Scoring, ChunksChangeNoBit) {
  const Transformer model = LoadModel(kParallel);
  const std::vector<int32_t> ids = Ids(SafetensorsFile(kParallel / "expected.safetensors"), "tokens");
  ThreadPool pool(2);
  std::vector<std::vector<double>> results;
  for (const int64_t rows : {1, 5, 256}) {
    RunShape run = ShapeOfScore(static_cast<int64_t>(ids.size()), DType::kF32, 2);
    run.max_rows = run.max_logit_rows = rows;
    results.push_back(Scorer(model, run, pool).Score(ids));
  }
  EXPECT_EQ(results[0].size(), ids.size() - 1);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(results[1], results[2]);
}

TEST(Scoring, SinksGetEveryRowOnceWithItsPlace) {
  const Transformer model = LoadModel(kParallel);
  const SafetensorsFile expected(kParallel / "expected.safetensors");
  const std::vector<int32_t> ids = Ids(expected, "tokens");
  const size_t n = ids.size(), vocab = 512, width = 64;
  ThreadPool pool(2);
  RunShape run = ShapeOfScore(static_cast<int64_t>(n), DType::kF32, 2);
  run.max_rows = run.max_logit_rows = 8;
  std::vector<float> logits;
  std::vector<std::vector<float>> hidden(4);
  ScoreSinks sinks;
  sinks.logits = [&](int64_t first, int64_t rows, std::span<const float> values) {
    EXPECT_EQ(static_cast<size_t>(first) * vocab, logits.size());
    EXPECT_EQ(static_cast<size_t>(rows) * vocab, values.size());
    logits.insert(logits.end(), values.begin(), values.end());
  };
  sinks.hidden = [&](int64_t index, int64_t first, std::span<const float> values) {
    auto& state = hidden.at(static_cast<size_t>(index));
    EXPECT_EQ(static_cast<size_t>(first) * width, state.size());
    state.insert(state.end(), values.begin(), values.end());
  };
  Scorer scorer(model, run, pool);
  const std::vector<double> logprobs = scorer.Score(ids, sinks);
  EXPECT_EQ(logprobs, scorer.Score(ids));
  const std::vector<float> want = Floats(expected, "logits");
  ExpectNear(logits, std::span(want).first(n * vocab), "logits");
  for (size_t i = 0; i < hidden.size(); ++i) {
    const std::string name = "hidden." + std::to_string(i);
    const std::vector<float> state = Floats(expected, name);
    ExpectNear(hidden[i], std::span(state).first(n * width), name);
  }
}

TEST(Scoring, OneIdHasNoLogProbability) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Scorer scorer(model, ShapeOfScore(1, DType::kF32, 1), pool);
  const std::vector<int32_t> one = {7};
  EXPECT_TRUE(scorer.Score(one).empty());
  size_t rows = 0;
  ScoreSinks sinks;
  sinks.logits = [&](int64_t, int64_t n, std::span<const float>) { rows += static_cast<size_t>(n); };
  EXPECT_TRUE(scorer.Score(one, sinks).empty());
  EXPECT_EQ(rows, 1u);
}

TEST(Scoring, CancelledLeavesTheScorerUsable) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Scorer scorer(model, ShapeOfScore(3, DType::kF32, 1), pool);
  const std::vector<int32_t> ids = {7, 8, 9};
  const std::vector<double> reference = scorer.Score(ids);
  const std::atomic<bool> cancel{true};
  EXPECT_THROW(scorer.Score(ids, {}, &cancel), Cancelled);
  EXPECT_EQ(scorer.Score(ids), reference);
}

}  // namespace
}  // namespace stablelm
