// Throughput of the engine with 1, 4 and 16 concurrent requests on one model: total tokens per second, and the cost of
// a step besides the forward pass and sampling. Random prompts, greedy, no end tokens.
//
//   build/release/bench/engine_bench MODEL [PROMPT_TOKENS] [NEW_TOKENS]        (default 32 and 32)
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "base/error.h"
#include "base/system.h"
#include "generate/engine.h"
#include "model/load.h"

namespace stablelm {
namespace {

void Measure(const Transformer& model, ThreadPool& pool, int64_t requests, int64_t prompt, int64_t tokens) {
  const int64_t pages = requests * (KvCache::PagesFor(prompt + tokens) + 1);
  Engine engine(model, {.cache_positions = pages * kKvPageTokens, .max_running = requests}, pool);
  std::mt19937 random(1);
  const auto submit = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      GenerateRequest request;
      for (int64_t t = 0; t < prompt; ++t) {
        request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(model.config().vocab_size)));
      }
      request.max_new_tokens = tokens;
      engine.Submit({.generate = std::move(request)}, {});
    }
  };
  submit(1);  // warms up caches and pages
  while (engine.Step()) {
  }
  const EngineStats before = engine.Stats();
  submit(requests);
  // Measures decoding without prefill: only the steps after the last prompt.
  while (engine.Stats().computed_rows - before.computed_rows < requests * prompt && engine.Step()) {
  }
  const EngineStats start = engine.Stats();
  while (engine.Step()) {
  }
  const EngineStats end = engine.Stats();
  const double seconds = end.total_s - start.total_s;
  const double steps = static_cast<double>(end.steps - start.steps);
  const double rows = static_cast<double>(end.computed_rows - start.computed_rows);
  const double overhead = seconds - (end.forward_s - start.forward_s) - (end.sampling_s - start.sampling_s);
  std::printf(
      "%3lld requests: %8.2f tokens/s in all, %7.2f ms a step, of it sampling %6.1f us and the engine %5.1f us a "
      "request\n",
      static_cast<long long>(requests), rows / seconds, 1e3 * seconds / steps,
      1e6 * (end.sampling_s - start.sampling_s) / rows, 1e6 * overhead / rows);
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: engine_bench MODEL [PROMPT_TOKENS] [NEW_TOKENS]\n");
    return 2;
  }
  const int64_t prompt = argc > 2 ? std::atoll(argv[2]) : 32, tokens = argc > 3 ? std::atoll(argv[3]) : 32;
  const Transformer model(LoadWeights(ModelFolder::Open(argv[1]), {}));
  ThreadPool pool(PhysicalCores());
  std::printf("%s, %zu threads, prompts of %lld, %lld new tokens each\n", CpuModelName().c_str(), pool.NumThreads(),
              static_cast<long long>(prompt), static_cast<long long>(tokens));
  for (const int64_t requests : std::initializer_list<int64_t>{1, 4, 16}) {
    Measure(model, pool, requests, prompt, tokens);
  }
  return 0;
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) {
  try {
    return stablelm::Main(argc, argv);
  } catch (const stablelm::Error& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
