// Many prompts through the engine: every result equals that of the prompt alone, results are in order, and read-ahead
// is bounded.
#include "generate/batch/prompt_run.h"

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "base/random.h"
#include "generate/engine_memory.h"
#include "generate/generator.h"
#include "golden_paths.h"
#include "model/model_testing.h"

namespace stablelm {
namespace {

std::string Joined(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += std::to_string(id) + " ";
  return text;
}

// Prompts of different lengths; many share a prefix.
GenerateRequest RequestOf(size_t index) {
  std::mt19937 random(static_cast<uint32_t>(index));
  GenerateRequest request;
  request.prompt.assign(index % 3 == 0 ? 40 : 0, 7);
  for (size_t i = 0; i <= index % 5; ++i) request.prompt.push_back(static_cast<int32_t>(random() % 512));
  request.max_new_tokens = 1 + static_cast<int64_t>(random() % 30);
  request.sampling.temperature = 1;
  request.seed = SeedOfPrompt(3, index);
  return request;
}

class PromptRunTest : public testing::Test {
 protected:
  EngineSettings Settings(int64_t parallel) const {
    return {.cache_positions = 256, .max_batch_rows = 32, .max_running = parallel};
  }
  std::string Solo(GenerateRequest request, uint64_t sample) {
    request.sample = sample;
    ThreadPool pool(1);
    return Joined(Generate(model_, request, ShapeOfGenerate(model_.config(), request, DType::kF32, 1), pool).ids);
  }
  const Transformer model_ = LoadModel(kParallel);
};

TEST_F(PromptRunTest, ResultsInOrderAndAsAlone) {
  constexpr size_t kPrompts = 40;
  std::vector<std::string> want;
  for (size_t i = 0; i < kPrompts; ++i) {
    std::string line = std::to_string(i) + ":";
    for (uint64_t sample = 0; sample < 1 + i % 3; ++sample) line += Solo(RequestOf(i), sample) + "|";
    want.push_back(i % 7 == 2 ? "bad" : line);
  }
  for (const int64_t parallel : std::initializer_list<int64_t>{1, 2, 5, 16}) {
    SCOPED_TRACE(parallel);
    ThreadPool pool(1 + static_cast<size_t>(parallel) % 2);
    Engine engine(model_, Settings(parallel), pool);
    std::vector<std::string> got;
    size_t next = 0, furthest = 0;
    int64_t tokens = 0;
    PromptRunHooks hooks;
    hooks.next = [&]() -> std::optional<std::variant<PromptTask, std::string>> {
      furthest = std::max(furthest, next - got.size());
      if (next == kPrompts) return std::nullopt;
      const size_t i = next++;
      if (i % 7 == 2) return "bad";
      PromptTask task;
      task.request.generate = RequestOf(i);
      task.samples = 1 + static_cast<int64_t>(i % 3);
      task.line = [i](std::span<const EngineResult> results) {
        std::string line = std::to_string(i) + ":";
        for (const EngineResult& result : results) line += Joined(result.generated.ids) + "|";
        return line;
      };
      return task;
    };
    hooks.write = [&](std::string_view line) { got.emplace_back(line); };
    hooks.on_token = [&] { ++tokens; };
    EXPECT_TRUE(RunPrompts(engine, {.parallel = parallel, .most_ahead = 9}, hooks));
    EXPECT_EQ(got, want);
    EXPECT_LE(furthest, 9u);
    EXPECT_GT(tokens, 300);
    EXPECT_EQ(engine.Stats().running + engine.Stats().waiting, 0);
  }
}

// A long first prompt delays the others; the bytes of waiting results are bounded too.
TEST_F(PromptRunTest, WaitingResultsAreBounded) {
  ThreadPool pool(1);
  Engine engine(model_, Settings(4), pool);
  size_t next = 0, written = 0, furthest = 0;
  PromptRunHooks hooks;
  hooks.next = [&]() -> std::optional<std::variant<PromptTask, std::string>> {
    furthest = std::max(furthest, next - written);
    if (next == 60) return std::nullopt;
    PromptTask task;
    task.request.generate.prompt = {static_cast<int32_t>(next + 1)};
    task.request.generate.max_new_tokens = next == 0 ? 120 : 1;
    task.line = [](std::span<const EngineResult>) { return std::string(1000, 'x'); };
    ++next;
    return task;
  };
  hooks.write = [&](std::string_view) { ++written; };
  EXPECT_TRUE(RunPrompts(engine, {.parallel = 4, .most_ahead = 1000, .most_waiting_bytes = 10'000}, hooks));
  EXPECT_EQ(written, 60u);
  EXPECT_LE(furthest, 16u);  // 10 waiting, 4 in the engine, and those that just ended
  EXPECT_GE(furthest, 10u);
}

TEST_F(PromptRunTest, CancelledAndFailedRunsLeaveTheEngineEmpty) {
  for (const bool fails : {false, true}) {
    ThreadPool pool(1);
    Engine engine(model_, Settings(4), pool);
    std::atomic<bool> cancel{false};
    size_t next = 0, written = 0;
    PromptRunHooks hooks;
    hooks.next = [&]() -> std::optional<std::variant<PromptTask, std::string>> {
      PromptTask task;
      task.request.generate = RequestOf(next++);
      task.line = [](std::span<const EngineResult> results) {
        EXPECT_NE(results[0].generated.reason, FinishReason::kCancelled);
        return std::string("x");
      };
      return task;
    };
    hooks.write = [&](std::string_view) {
      if (++written < 5) return;
      if (fails) throw std::runtime_error("the disk is full");
      cancel = true;
    };
    hooks.cancel = &cancel;
    if (fails) {
      EXPECT_THROW(RunPrompts(engine, {.parallel = 4}, hooks), std::runtime_error);
    } else {
      EXPECT_FALSE(RunPrompts(engine, {.parallel = 4}, hooks));
    }
    EXPECT_GE(written, 5u);
    const EngineStats stats = engine.Stats();
    EXPECT_EQ(stats.running + stats.waiting, 0);
    EXPECT_EQ(stats.free_pages + stats.prefix_pages, stats.n_pages);
  }
}

TEST(SeedOfPrompt, IsWhatTheHeaderSays) {
  const auto words = Philox(7).Block(0xFFFFFFFFFFFFFFFFu, 12);
  EXPECT_EQ(SeedOfPrompt(7, 12), (uint64_t{words[1]} << 32) + words[0]);
  std::set<uint64_t> seeds;
  for (uint64_t run = 0; run < 20; ++run) {
    for (uint64_t i = 0; i < 500; ++i) seeds.insert(SeedOfPrompt(run, i));
  }
  EXPECT_EQ(seeds.size(), 10000u);
}

TEST(CachePositionsFor, FitsHalfOfWhatIsLeftAndAlwaysOne) {
  const ModelConfig config = *ModelConfig::FromShapeName("3b");
  const WeightBytes weights = {.mapped = 7'000'000'000, .allocated = 0};
  const EngineSettings settings = {.max_running = 16};
  const uint64_t one = static_cast<uint64_t>(KvCache::PagesFor(4096)) * KvCache::BytesPerPage(config, DType::kF32);
  EngineSettings smallest = settings;
  smallest.cache_positions = 4096;
  const uint64_t beside = PlanMemory(config, weights, ShapeOfEngine(smallest, 2)).Total() - one;
  const auto positions = [&](uint64_t available) {
    return CachePositionsFor(config, weights, settings, 4096, 2, available);
  };
  EXPECT_EQ(positions(0), 4096);
  EXPECT_EQ(positions(beside + one), 4096);
  EXPECT_EQ(positions(beside + 6 * one), 3 * 4096);
  EXPECT_EQ(positions(beside + 1000 * one), 16 * 4096);
}

}  // namespace
}  // namespace stablelm
