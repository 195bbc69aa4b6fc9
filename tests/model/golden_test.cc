// The whole model against the reference implementation: transformers' GPTNeoXForCausalLM in float64 on the same stored
// weights.
#include <cmath>

#include "model_testing.h"
#include "ops/simd.h"
#include "ops/softmax.h"

namespace stablelm {
namespace {

// An honest fp32 forward is within 5e-6 of the reference; a wrong layer-norm epsilon shows at 2.5e-5. Logits beyond 7
// carry an error in proportion to their size (fp32 eps times the depth of the sums).
double Tolerance(double magnitude) { return std::max(2e-5, 3e-6 * magnitude); }

// NaN fails.
void ExpectNear(std::span<const float> got, std::span<const float> want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 0, worst = 0;
  for (const float w : want) largest = std::max(largest, std::abs(static_cast<double>(w)));
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    ASSERT_TRUE(error <= Tolerance(largest)) << what << "[" << i << "]: " << got[i] << ", expected " << want[i];
    worst = std::max(worst, error);
  }
  testing::Test::RecordProperty(what, std::to_string(worst));
}

class Golden : public testing::TestWithParam<std::filesystem::path> {};
std::string NameOfFolder(const testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = info.param.filename().string();
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Folders, Golden, testing::ValuesIn(GoldenFolders()), NameOfFolder);

TEST(GoldenFolders, AreThere) { EXPECT_FALSE(GoldenFolders().empty()); }

struct HiddenStates : ForwardObserver {
  std::vector<std::vector<float>> states;
  void OnHidden(int64_t index, const float* x, int64_t rows, int64_t width) override {
    if (static_cast<size_t>(index) >= states.size()) states.resize(static_cast<size_t>(index) + 1);
    states[static_cast<size_t>(index)].insert(states[static_cast<size_t>(index)].end(), x, x + rows * width);
  }
};

TEST_P(Golden, LogitsAndHiddenStatesOnEveryTarget) {
  const SafetensorsFile expected(GetParam() / "expected.safetensors");
  const Transformer model = LoadModel(GetParam());
  const std::vector<float> want = Floats(expected, "logits");
  const int64_t rows = expected.Get("tokens").shape[0], length = expected.Get("tokens").shape[1];
  const size_t vocab = static_cast<size_t>(model.config().vocab_size);
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE(target);
    // The emulated target shows nothing more on a long context, and is slow.
    if (length > 1000 && target == "emu128") continue;
    SelectSimdTarget(target);
    for (int64_t r = 0; r < rows; ++r) {
      HiddenStates hidden;
      const std::vector<int32_t> ids = Ids(expected, "tokens", r);
      const std::vector<float> got = LogitsInChunks(model, ids, 256, 2, DType::kF32, &hidden);
      if (expected.Find("positions")) {
        const std::vector<int32_t> positions = Ids(expected, "positions");
        std::vector<float> at;
        for (const int32_t p : positions) {
          at.insert(at.end(), got.begin() + p * static_cast<int64_t>(vocab),
                    got.begin() + (p + 1) * static_cast<int64_t>(vocab));
        }
        ExpectNear(at, want, "logits");
        continue;
      }
      ExpectNear(got, std::span(want).subspan(static_cast<size_t>(r) * got.size(), got.size()), "logits");
      for (size_t i = 0; i < hidden.states.size(); ++i) {
        const std::vector<float> all = Floats(expected, "hidden." + std::to_string(i));
        const size_t n = hidden.states[i].size();
        ExpectNear(hidden.states[i], std::span(all).subspan(static_cast<size_t>(r) * n, n),
                   "hidden." + std::to_string(i));
      }
      const std::vector<float> logprobs = Floats(expected, "token_logprobs");
      for (size_t t = 0; t + 1 < ids.size(); ++t) {
        const float* row = got.data() + t * vocab;
        const double lp = static_cast<double>(row[ids[t + 1]]) - LogSumExp(row, vocab);
        ASSERT_NEAR(lp, logprobs[static_cast<size_t>(r) * (ids.size() - 1) + t], 2e-5);
      }
    }
  }
  SelectSimdTarget("");
}

TEST_P(Golden, GreedyContinuation) {
  const SafetensorsFile expected(GetParam() / "expected.safetensors");
  if (!expected.Find("greedy")) GTEST_SKIP() << "this folder has no greedy continuation";
  const Transformer model = LoadModel(GetParam());
  const std::vector<int32_t> want = Ids(expected, "greedy");
  std::vector<int32_t> ids = Ids(expected, "tokens");
  ThreadPool pool(2);
  const int64_t context = static_cast<int64_t>(ids.size() + want.size());
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE(target);
    SelectSimdTarget(target);
    ForwardContext ctx(model.config(), {.context = context, .threads = 2}, pool);
    KvCache cache(model.config(), DType::kF32, KvCache::PagesFor(context));
    KvSequence sequence(cache);
    std::vector<int32_t> next = ids, got;
    while (got.size() < want.size()) {
      ForwardInChunks(
          model, next, sequence, ctx,
          {.logits_from = static_cast<int64_t>(next.size()) - 1, .observer = {}, .stop = {}},
          [&](int64_t, int64_t, std::span<const float> logits) {
            // id 0, the end, counts as -inf at every step
            got.push_back(static_cast<int32_t>(std::max_element(logits.begin() + 1, logits.end()) - logits.begin()));
          });
      next = {got.back()};
    }
    EXPECT_EQ(got, want);
  }
  SelectSimdTarget("");
}

// A long and a short sequence in one batch.
TEST_P(Golden, RaggedPair) {
  const SafetensorsFile expected(GetParam() / "expected.safetensors");
  if (!expected.Find("short_tokens")) GTEST_SKIP() << "this folder has no short sequence";
  const Transformer model = LoadModel(GetParam());
  const std::vector<int32_t> ids = Ids(expected, "tokens"), brief = Ids(expected, "short_tokens");
  const int64_t total = static_cast<int64_t>(ids.size() + brief.size());
  ThreadPool pool(2);
  ForwardContext ctx(model.config(),
                     {.context = total, .sequences = 2, .max_rows = total, .max_logit_rows = total, .threads = 2},
                     pool);
  KvCache cache(model.config(), DType::kF32, 2 * KvCache::PagesFor(total));
  KvSequence first(cache), second(cache);
  const BatchSequence batch[] = {{.tokens = brief, .cache = &first, .logits_from = 0},
                                 {.tokens = ids, .cache = &second, .logits_from = 0}};
  const std::span<const float> logits = model.Forward(batch, ctx);
  const std::vector<float> want_short = Floats(expected, "short_logits"), want = Floats(expected, "logits");
  ExpectNear(logits.first(want_short.size()), want_short, "short_logits");
  ExpectNear(logits.subspan(want_short.size()), std::span(want).first(logits.size() - want_short.size()), "logits");
}

}  // namespace
}  // namespace stablelm
