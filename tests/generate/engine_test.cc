// Tests the engine's guarantee: a request gives the same result as alone, whatever else runs, and releases all its
// resources. Which requests it admits: engine_admission_test.cc.
#include "generate/engine.h"

#include <gmock/gmock.h>

#include <numeric>
#include <random>
#include <thread>

#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "generate/engine_testing.h"
#include "generate/scoring.h"
#include "golden_paths.h"
#include "model/model_testing.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

// Prompts that often share a prefix, with all kinds of settings.
GenerateRequest RandomRequest(std::mt19937& random, int64_t vocab) {
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint32_t>(n)); };
  std::mt19937 family(static_cast<uint32_t>(below(3)));
  std::vector<int32_t> prompt;
  const int64_t shared = below(2) * (30 + below(45)), own = 1 + below(20);
  for (int64_t i = 0; i < shared; ++i) prompt.push_back(static_cast<int32_t>(family() % static_cast<uint32_t>(vocab)));
  for (int64_t i = 0; i < own; ++i) prompt.push_back(static_cast<int32_t>(below(vocab)));
  GenerateRequest request = Alone(std::move(prompt), 1 + below(90));
  request.seed = random();
  if (below(3) > 0) {
    request.sampling.temperature = 0.5 + 0.25 * static_cast<double>(below(4));
    request.sampling.top_k = below(60);
    request.sampling.repetition_penalty = below(2) ? 1.1 : 1.0;
    request.sampling.mirostat = below(4) ? 0 : 2;
  }
  if (below(2)) request.stop_ids = {static_cast<int32_t>(below(vocab)), static_cast<int32_t>(below(vocab))};
  return request;
}

TEST(Engine, RandomSchedulesGiveWhatEachRequestGivesAlone) {
  const Transformer model = LoadModel(kParallel);
  int64_t preemptions = 0, shared = 0;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("schedule " + std::to_string(seed));
    std::mt19937 random(seed);
    constexpr DType kTypes[] = {DType::kF16, DType::kF32, DType::kI8};
    const DType kv = kTypes[seed % 3];
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 24; ++i) requests.push_back(RandomRequest(random, model.config().vocab_size));
    ThreadPool pool(1 + seed % 3);
    Engine engine(model,
                  {.cache_positions = 128 + 32 * (seed % 4),
                   .kv_type = kv,
                   .max_batch_rows = 1 + static_cast<int64_t>(random() % 40),
                   .max_running = 1 + static_cast<int64_t>(random() % 12),
                   .share_prefixes = seed % 4 != 1},
                  pool);
    std::vector<Outcome> outcomes(requests.size());
    for (size_t i = 0; i < requests.size();) {
      for (auto burst = random() % 6; burst > 0 && i < requests.size(); --burst, ++i) {
        engine.Submit({.generate = requests[i]}, Into(outcomes[i]));
      }
      for (auto steps = random() % 8; steps > 0; --steps) engine.Step();
    }
    while (engine.Step()) {
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE("request " + std::to_string(i));
      EXPECT_EQ(outcomes[i].ends, 1);
      EXPECT_EQ(outcomes[i].result.error, "");
      EXPECT_EQ(outcomes[i].streamed, outcomes[i].result.generated.ids);
      ExpectSame(outcomes[i].result.generated, Solo(model, requests[i], kv));
    }
    preemptions += engine.Stats().preemptions;
    shared += engine.Stats().prefix_rows;
    ExpectNothingLeft(engine);
  }
  EXPECT_GT(preemptions, 0);  // else the test does not cover preemption
  EXPECT_GT(shared, 0);
}

TEST(Engine, EveryoneAdvancesInTurnWhenThereAreMoreThanRows) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  constexpr int64_t kRequests = 8;
  for (const int64_t rows : std::initializer_list<int64_t>{1, 3, 5, 8}) {
    SCOPED_TRACE(rows);
    Engine engine(model, {.cache_positions = 1024, .max_batch_rows = rows, .max_running = kRequests}, pool);
    std::vector<std::vector<int64_t>> steps(kRequests);
    for (int64_t i = 0; i < kRequests; ++i) {
      engine.Submit({.generate = Alone({static_cast<int32_t>(i + 1)}, 60)},
                    {.reply = {.on_token = [&, i](const ChosenToken&) {
                       steps[static_cast<size_t>(i)].push_back(engine.Stats().steps);
                     }}});
    }
    while (engine.Step()) {
    }
    int64_t all_in = 0;  // the step after which no prefill was left
    for (const auto& at : steps) {
      ASSERT_EQ(at.size(), 60u);
      all_in = std::max(all_in, at[0]);
    }
    EXPECT_LE(all_in, 2 * kRequests);  // decoding requests do not starve prefill
    for (const auto& at : steps) {
      for (size_t t = 1; t < at.size(); ++t) {
        if (at[t - 1] < all_in) continue;
        EXPECT_LE(at[t] - at[t - 1], (kRequests + rows - 1) / rows);
      }
    }
  }
}

TEST(Engine, APromptGetsAQuarterOfTheRows) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  std::vector<Outcome> others(7);
  Outcome prompt;
  Engine engine(model, {.cache_positions = 1024, .max_batch_rows = 8, .max_running = 8}, pool);
  for (Outcome& other : others) engine.Submit({.generate = Alone({1}, 90)}, Into(other));
  for (int i = 0; i < 2; ++i) engine.Step();
  engine.Submit({.generate = Alone(std::vector<int32_t>(40, 2), 1)}, Into(prompt));
  const int64_t before = engine.Stats().steps;
  while (prompt.ends == 0) engine.Step();
  EXPECT_EQ(engine.Stats().steps - before, 20);  // two rows each
  EXPECT_EQ(others[6].ends, 0);                  // the others decode all the time
}

TEST(Engine, ComputesACommonBeginningOnce) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(2);
  Engine engine(model, {.cache_positions = 1024, .max_batch_rows = 32}, pool);
  std::vector<int32_t> prompt(70);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 7 % 500);
  std::vector<Outcome> outcomes(5);
  for (size_t i = 0; i < outcomes.size(); ++i) {  // submitted together: the later ones wait for the first
    GenerateRequest request = Alone(prompt, 5);
    request.sampling.temperature = 1;
    request.sample = i;
    engine.Submit({.generate = request}, Into(outcomes[i]));
  }
  while (engine.Step()) {
  }
  EXPECT_EQ(outcomes[0].result.generated.known_positions, 0);
  for (size_t i = 1; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i].result.generated.known_positions, 64);
  // A fully cached prompt still computes its last token.
  prompt.resize(64);
  Outcome whole;
  engine.Submit({.generate = Alone(prompt, 5)}, Into(whole));
  while (engine.Step()) {
  }
  EXPECT_EQ(whole.result.generated.known_positions, 32);
  ExpectSame(whole.result.generated, Solo(model, Alone(prompt, 5)));
}

TEST(Engine, ScoresPromptsAsTheScorerDoes) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(2);
  std::vector<int32_t> prompt(40);  // more than a page
  std::iota(prompt.begin(), prompt.end(), 5);
  Scorer scorer(model, ShapeOfScore(40, DType::kF32, 2), pool);
  const std::vector<double> want = scorer.Score(prompt);
  Engine engine(model, {.cache_positions = 128, .max_batch_rows = 8, .max_running = 3}, pool);
  Outcome first, second, other;
  engine.Submit({.generate = Alone(prompt, 3), .prompt_logprobs = true}, Into(first));
  engine.Submit({.generate = Alone({1, 2, 3}, 9)}, Into(other));
  engine.Submit({.generate = Alone(prompt, 3), .prompt_logprobs = true}, Into(second));
  while (engine.Step()) {
  }
  EXPECT_EQ(first.result.prompt.logprobs, want);
  EXPECT_EQ(second.result.prompt.logprobs, want);  // cached pages are not used
  EXPECT_EQ(second.result.generated.known_positions, 0);
  ExpectSame(second.result.generated, Solo(model, Alone(prompt, 3)));
}

TEST(Engine, CancellingGivesBackPagesAtOnce) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Engine engine(model, {.cache_positions = 256, .max_batch_rows = 16, .share_prefixes = false}, pool);
  Outcome running, waiting;
  const RequestId a = engine.Submit({.generate = Alone({1, 2, 3}, 100)}, Into(running));
  for (int i = 0; i < 5; ++i) engine.Step();
  EXPECT_LT(engine.Stats().free_pages, 8);
  const RequestId b = engine.Submit({.generate = Alone({1, 2, 3}, 100)}, Into(waiting));
  engine.Cancel(a);
  engine.Cancel(b);
  engine.Cancel(12345);
  EXPECT_FALSE(engine.Step());
  EXPECT_EQ(running.result.generated.reason, FinishReason::kCancelled);
  EXPECT_EQ(running.result.generated.ids.size(), 5u);
  EXPECT_EQ(waiting.result.generated.reason, FinishReason::kCancelled);
  EXPECT_EQ(waiting.ends, 1);
  ExpectNothingLeft(engine);
}

TEST(Engine, SettingsAreChecked) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  const std::pair<int64_t EngineSettings::*, const char*> fields[] = {
      {&EngineSettings::cache_positions, "cache_positions"},
      {&EngineSettings::max_batch_rows, "max_batch_rows"},
      {&EngineSettings::max_running, "max_running"}};
  for (const auto& [field, name] : fields) {
    EngineSettings settings = {.cache_positions = 64};
    settings.*field = 0;
    EXPECT_THAT(InfoOf([&] { Engine engine(model, settings, pool); }), Names(name, "0"));
    settings.*field = 1;
    Engine engine(model, settings, pool);
    Outcome outcome;
    engine.Submit({.generate = Alone({1}, 2)}, Into(outcome));
    while (engine.Step()) {
    }
    ExpectSame(outcome.result.generated, Solo(model, Alone({1}, 2)));
  }
}

// The last token that is chosen is never computed: it needs no place in the cache.
TEST(Engine, ATextMayBeOneTokenLongerThanTheCache) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Engine engine(model, {.cache_positions = 32}, pool);
  Outcome outcomes[3];
  for (size_t i = 0; i < 3; ++i) {
    GenerateRequest request = Alone(std::vector<int32_t>(31 + i, 5), 0);
    request.max_new_tokens.reset();
    engine.Submit({.generate = request}, Into(outcomes[i]));
  }
  while (engine.Step()) {
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(outcomes[i].result.error, "");
    EXPECT_EQ(outcomes[i].result.generated.ids.size(), 2 - i);
    EXPECT_EQ(outcomes[i].result.generated.reason, FinishReason::kContext);
  }
  EXPECT_THAT(outcomes[2].result.error, testing::StartsWith("prompt: longer than the key-value cache"));
  ExpectNothingLeft(engine);
}

// A prompt that fills the context is scored although nothing can be generated.
TEST(Engine, AFullPromptIsScored) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Engine engine(model, {.cache_positions = 128}, pool);
  Outcome outcome;
  engine.Submit({.generate = Alone(std::vector<int32_t>(128, 5), 3), .prompt_logprobs = true}, Into(outcome));
  while (engine.Step()) {
  }
  EXPECT_EQ(outcome.result.error, "");
  EXPECT_EQ(outcome.result.prompt.logprobs.size(), 127u);
  EXPECT_TRUE(outcome.result.generated.ids.empty());
  EXPECT_EQ(outcome.result.generated.reason, FinishReason::kContext);
  EXPECT_EQ(outcome.ends, 1);
}

TEST(Engine, ABadRequestFailsAlone) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Engine engine(model, {.cache_positions = 96}, pool);
  std::vector<GenerateRequest> bad(7, Alone({1, 2}, 3));
  bad[0].prompt = {};
  bad[1].prompt = {1, 99999};
  bad[2].prompt.resize(100, 1);  // larger than the cache
  bad[3].sampling.temperature = -1;
  bad[4].max_new_tokens = 0;
  bad[5].stop_strings = {""};
  bad[6].keep_on_shift = 0;
  const std::vector<std::string> fields = {
      "prompt", "prompt", "prompt", "temperature", "max_new_tokens", "stop", "context policy shift: not available"};
  std::vector<Outcome> outcomes(bad.size());
  for (size_t i = 0; i < bad.size(); ++i) engine.Submit({.generate = bad[i]}, Into(outcomes[i]));
  Outcome good, throws;
  engine.Submit({.generate = Alone({1, 2}, 3)}, Into(good));
  engine.Submit({.generate = Alone({1, 2}, 3)},
                {.reply = {.on_token = [](const ChosenToken&) { throw std::runtime_error("the line is gone"); }},
                 .on_end = Into(throws).on_end});
  while (engine.Step()) {
  }
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(outcomes[i].ends, 1);
    EXPECT_THAT(outcomes[i].result.error, HasSubstr(fields[i]));
  }
  EXPECT_THAT(throws.result.error, HasSubstr("the line is gone"));
  ASSERT_TRUE(throws.result.cause);
  try {
    std::rethrow_exception(throws.result.cause);
  } catch (const std::exception& cause) {
    EXPECT_EQ(throws.result.error, cause.what());
  }
  EXPECT_FALSE(good.result.cause);
  EXPECT_EQ(good.result.error, "");
  ExpectSame(good.result.generated, Solo(model, Alone({1, 2}, 3)));
  ExpectNothingLeft(engine);
}

TEST(Engine, EveryRequestEndsOnceWhenTheEngineGoes) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  Outcome bad, running, waiting;
  {
    Engine engine(model, {.cache_positions = 96}, pool);
    engine.Submit({.generate = Alone({1, 2}, 50)}, Into(running));
    engine.Step();
    engine.Submit({.generate = Alone({}, 3)}, Into(bad));
    engine.Submit({.generate = Alone({3}, 50)}, Into(waiting));
  }
  EXPECT_EQ(bad.ends, 1);
  EXPECT_THAT(bad.result.error, HasSubstr("prompt"));
  EXPECT_EQ(running.ends, 1);
  EXPECT_EQ(running.result.generated.reason, FinishReason::kCancelled);
  EXPECT_EQ(running.result.generated.ids.size(), 1u);
  EXPECT_EQ(waiting.ends, 1);
}

TEST(Engine, ANumberThatIsNotFiniteFailsAlone) {
  const TempFolder temp;
  std::vector<TinyTensor> tensors = TinyTensors(TinyConfig());
  for (TinyTensor& tensor : tensors) {
    if (tensor.name != "gpt_neox.embed_in.weight") continue;
    tensor.values.assign(80, 0.5f);
    tensor.values[9 * 8] = std::numeric_limits<float>::quiet_NaN();  // token 9
  }
  WriteTinyModel(temp.path());
  WriteTinySafetensors(temp.path() / "model.safetensors", tensors);
  const Transformer model = LoadModel(temp.path());
  ThreadPool pool(1);
  Engine engine(model, {.cache_positions = 96}, pool);
  GenerateRequest fine = Alone({1, 2, 3}, 3);
  fine.banned_ids = {9};
  Outcome before, broken, after;
  engine.Submit({.generate = fine}, Into(before));
  engine.Submit({.generate = Alone({1, 9, 3}, 3)}, Into(broken));
  engine.Submit({.generate = fine}, Into(after));
  while (engine.Step()) {
  }
  EXPECT_THAT(broken.result.error, HasSubstr("finite"));
  ExpectSame(before.result.generated, Solo(model, fine));
  ExpectSame(after.result.generated, Solo(model, fine));
  ExpectNothingLeft(engine);
}

// Cancels `cancelled` in a step, after it was planned: from the end of a request that fails in that step.
TEST(Engine, APassIsCancelledWhenMostOfItsRowsAre) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  for (const size_t cancelled : {size_t{1}, size_t{2}}) {
    SCOPED_TRACE(cancelled);
    Engine engine(model, {.cache_positions = 256}, pool);
    std::vector<Outcome> outcomes(3);
    std::vector<RequestId> ids;
    for (size_t i = 0; i < 2; ++i) {
      ids.push_back(engine.Submit({.generate = Alone({static_cast<int32_t>(i)}, 9)}, Into(outcomes[i])));
    }
    for (int i = 0; i < 3; ++i) engine.Step();
    EngineCallbacks fails = Into(outcomes[2]);
    fails.on_end = [&](const EngineResult&) {
      for (size_t i = 0; i < cancelled; ++i) engine.Cancel(ids[i]);
    };
    engine.Submit({.generate = Alone({}, 1)}, fails);
    const int64_t before = engine.Stats().computed_rows;
    engine.Step();
    EXPECT_EQ(engine.Stats().computed_rows - before, cancelled == 1 ? 2 : 0);
    while (engine.Step()) {
    }
    EXPECT_EQ(outcomes[0].result.generated.reason, FinishReason::kCancelled);
    EXPECT_EQ(outcomes[0].streamed.size(), cancelled == 1 ? 4u : 3u);
    EXPECT_EQ(outcomes[1].streamed.size(), cancelled == 1 ? 9u : 3u);
    ExpectNothingLeft(engine);
  }
}

// Text that a stop string holds back comes when the request ends; a callback that throws there fails the request too.
TEST(Engine, CallbacksMayThrowAtTheEnd) {
  const Transformer model = LoadModel(TestData("golden/head128_fp16"));
  ThreadPool pool(1);
  GenerateRequest request = Alone({5, 6, 7}, 2);
  request.tokenizer = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"), {.model_vocab_size = 1000});
  const GenerateResult solo = Solo(model, request);
  ASSERT_FALSE(solo.text.empty());
  request.stop_strings = {solo.text + " and more"};
  const auto fails_at_end = [](std::string_view) { throw std::runtime_error("no place for text"); };
  Outcome text, both;
  Engine engine(model, {.cache_positions = 96}, pool);
  engine.Submit({.generate = request}, {.reply = {.on_text = fails_at_end}, .on_end = Into(text).on_end});
  int tokens = 0;
  engine.Submit({.generate = request}, {.reply = {.on_token =
                                                      [&](const ChosenToken&) {
                                                        if (++tokens == 2)
                                                          throw std::runtime_error("no place for tokens");
                                                      },
                                                  .on_text = fails_at_end},
                                        .on_end = Into(both).on_end});
  while (engine.Step()) {
  }
  EXPECT_EQ(text.result.error, "no place for text");
  EXPECT_EQ(text.result.generated.reason, FinishReason::kCancelled);
  EXPECT_EQ(text.result.generated.ids, solo.ids);
  EXPECT_EQ(both.result.error, "no place for tokens");  // the first of two
  EXPECT_EQ(both.result.generated.reason, FinishReason::kCancelled);
  ExpectNothingLeft(engine);
}

// Two threads submit and cancel requests while a third one steps.
TEST(Engine, Soak) {
  const Transformer model = LoadModel(kParallel);
  constexpr size_t kRequests = 2000;
  std::mt19937 random(7);
  std::vector<GenerateRequest> kinds;
  for (int i = 0; i < 40; ++i) {
    kinds.push_back(RandomRequest(random, model.config().vocab_size));
    kinds.back().max_new_tokens = 1 + i % 12;
  }
  std::vector<GenerateResult> solo;
  for (const GenerateRequest& kind : kinds) solo.push_back(Solo(model, kind));

  ThreadPool pool(2);
  Engine engine(model, {.cache_positions = 512, .max_batch_rows = 48, .max_running = 12}, pool);
  std::vector<Outcome> outcomes(kRequests);
  std::atomic<size_t> ended = 0;
  std::jthread steps([&] { engine.Run(); });
  const auto submit = [&](size_t from, size_t to, uint32_t seed) {
    std::mt19937 mine(seed);
    for (size_t i = from; i < to; ++i) {
      EngineCallbacks callbacks = Into(outcomes[i]);
      callbacks.on_end = [&, end = callbacks.on_end](const EngineResult& result) {
        end(result);
        ++ended;
      };
      const RequestId id = engine.Submit({.generate = kinds[i % kinds.size()]}, std::move(callbacks));
      if (mine() % 4 == 0) {
        if (mine() % 2) std::this_thread::sleep_for(std::chrono::microseconds(mine() % 2000));
        engine.Cancel(id);
      }
    }
  };
  {
    std::jthread other([&] { submit(0, kRequests / 2, 1); });
    submit(kRequests / 2, kRequests, 2);
  }
  while (ended < kRequests) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  engine.Stop();
  steps.join();
  size_t whole = 0;
  for (size_t i = 0; i < kRequests; ++i) {
    const GenerateResult& got = outcomes[i].result.generated;
    const GenerateResult& want = solo[i % kinds.size()];
    ASSERT_EQ(outcomes[i].ends, 1) << i;
    ASSERT_EQ(outcomes[i].result.error, "") << i;
    if (got.reason == FinishReason::kCancelled) {  // the partial result is correct
      ASSERT_LE(got.ids.size(), want.ids.size());
      ASSERT_TRUE(std::equal(got.ids.begin(), got.ids.end(), want.ids.begin())) << i;
    } else {
      ASSERT_EQ(got.ids, want.ids) << i;
      ASSERT_EQ(got.logprobs, want.logprobs) << i;
      ++whole;
    }
  }
  EXPECT_GT(whole, kRequests / 2);
  ExpectNothingLeft(engine);
}

}  // namespace
}  // namespace stablelm
