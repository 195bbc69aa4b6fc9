// Text windows, logits on disk, and two models compared one after the other, against a direct computation.
#include "eval/model_comparison.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/error.h"
#include "error_info.h"
#include "model/model_testing.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

const std::filesystem::path kModel = TestData("golden/head128_fp16");  // context of 256 tokens, 1,000 ids

std::vector<int32_t> SomeIds(size_t n) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(i * i * 7 + i * 13 + 5) % 1000);
  return ids;
}

std::vector<size_t> Lengths(size_t tokens, int64_t length) {
  std::vector<size_t> lengths;
  const std::vector<int32_t> ids = SomeIds(tokens);
  const std::vector<TextWindow> windows = TextWindows(ids, length);
  const int32_t* next = ids.data();
  for (const TextWindow& window : windows) {
    EXPECT_EQ(window.data(), next);
    next += window.size();
    lengths.push_back(window.size());
  }
  return lengths;
}

TEST(TextWindows, CutTheWholeText) {
  using testing::ElementsAre;
  EXPECT_THAT(Lengths(1100, 512), ElementsAre(512, 512, 76));
  EXPECT_THAT(Lengths(1024, 512), ElementsAre(512, 512));
  EXPECT_THAT(Lengths(1025, 512), ElementsAre(512, 512));  // nothing predicts the last token
  EXPECT_THAT(Lengths(5, 2), ElementsAre(2, 2));
  EXPECT_THAT(Lengths(2, 512), ElementsAre(2));
  EXPECT_TRUE(Lengths(1, 512).empty());
  EXPECT_TRUE(Lengths(0, 512).empty());
  const std::vector<int32_t> ids = SomeIds(1100);
  EXPECT_EQ(PredictedTokens(TextWindows(ids, 512)), 511u + 511 + 75);
}

TEST(LogitsFile, GivesBackWhatWasWritten) {
  const TempFolder temp;
  {
    LogitsFile file(temp.path(), 3, 4);
    const std::vector<float> rows = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    file.Write(std::span(rows).first(8));
    EXPECT_TRUE(std::filesystem::is_empty(temp.path())) << "it has a name";
    std::vector<float> got(12);
    file.Read(std::span(got).first(4));
    file.Write(std::span(rows).subspan(8));
    file.Read(std::span(got).subspan(4));
    EXPECT_EQ(got, rows);
    EXPECT_DEATH(file.Write(rows), "internal check failed");
    EXPECT_DEATH(file.Read(got), "internal check failed");
  }
  const std::filesystem::path none = temp.path() / "none";
  EXPECT_THAT(InfoOf([&] { LogitsFile file(none, 1, 1); }), Names(none.string()));
}

std::vector<TokenDivergence> Compare(const Transformer& source, const Transformer& other, std::span<const int32_t> ids,
                                     int64_t length, size_t threads) {
  const TempFolder temp;
  const std::vector<TextWindow> windows = TextWindows(ids, length);
  const RunShape run = ShapeOfWindows(length, true, threads);
  ThreadPool pool(threads);
  LogitsFile file(temp.path(), PredictedTokens(windows), static_cast<size_t>(source.config().vocab_size));
  Progress progress({}, 1, Progress::Unit::kItems, false);
  SaveLogits(source, run, pool, windows, {.progress = &progress}, file);
  return CompareWithSaved(other, run, pool, windows, {}, file);
}

TEST(ModelComparison, IsThatOfEveryRowByPlainMeans) {
  const Transformer source = LoadModel(kModel), other = LoadModel(kModel, DType::kBF16);
  const std::vector<int32_t> ids = SomeIds(120);
  for (const size_t threads : {size_t{1}, size_t{3}}) {
    const std::vector<TokenDivergence> got = Compare(source, other, ids, 50, threads);
    ASSERT_EQ(got.size(), 49u + 49 + 19);
    size_t t = 0;
    for (const TextWindow& window : TextWindows(ids, 50)) {
      const std::vector<int32_t> tokens(window.begin(), window.end());
      const std::vector<float> a = LogitsInChunks(source, tokens, 50, 1), b = LogitsInChunks(other, tokens, 50, 1);
      for (size_t i = 0; i + 1 < tokens.size(); ++i, ++t) {
        const std::span<const float> p(a.data() + i * 1000, 1000), q(b.data() + i * 1000, 1000);
        const TokenDivergence want = CompareLogits(p, q, tokens[i + 1]);
        EXPECT_EQ(got[t].kl, want.kl);
        EXPECT_EQ(got[t].source_log_prob, want.source_log_prob);
        EXPECT_EQ(got[t].log_prob, want.log_prob);
        EXPECT_EQ(got[t].same_first, want.same_first);
        const double plain = CompareLogitsRef(p, q, tokens[i + 1]).kl;
        EXPECT_NEAR(got[t].kl, plain, 1e-15 + 1e-9 * plain);
        EXPECT_GT(got[t].kl, 0);
      }
    }
  }
}

TEST(ModelComparison, OfAModelWithItselfIsZero) {
  const Transformer model = LoadModel(kModel);
  for (const TokenDivergence& token : Compare(model, model, SomeIds(300), 256, 2)) {
    EXPECT_EQ(token.kl, 0);
    EXPECT_TRUE(token.same_first);
    EXPECT_EQ(token.log_prob, token.source_log_prob);
  }
}

TEST(ModelComparison, EndsWhenItIsCancelled) {
  const Transformer model = LoadModel(kModel);
  const std::vector<int32_t> ids = SomeIds(20);
  const std::vector<TextWindow> windows = TextWindows(ids, 10);
  const std::atomic<bool> asked = true;
  ThreadPool pool(1);
  EXPECT_THROW(
      RunWindows(model, ShapeOfWindows(10, false, 1), pool, windows, {.hooks = {.leave = LeaveWhenSet(&asked)}}),
      Cancelled);
}

}  // namespace
}  // namespace stablelm
