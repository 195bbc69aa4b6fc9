// Time to choose one token from a row of logits on one thread: the plain chain and the fast one, and its passes.
//
//   build/release/bench/sampler_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "generate/sampler.h"
#include "ops/score_row.h"
#include "ops/softmax.h"

namespace stablelm {
namespace {

constexpr int64_t kVocab = 50688;
constexpr int64_t kContext = 2048;

// Scores as a language model gives them: a normal bulk and a few that stand out.
std::vector<std::vector<float>> Rows() {
  const Philox random(1);
  std::vector<std::vector<float>> rows;
  for (uint64_t r = 0; r < 16; ++r) {  // more than the second-level cache holds, as after a forward pass
    std::vector<float> row(kVocab);
    for (uint64_t i = 0; i < row.size(); ++i) {
      const double u = 1 - random.Uniform(2 * r, i), v = random.Uniform(2 * r + 1, i);
      row[i] = static_cast<float>(2.5 * std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
    }
    for (uint64_t i = 0; i < 40; ++i) row[997 * i + r] += static_cast<float>(14 - 0.3 * static_cast<double>(i));
    rows.push_back(std::move(row));
  }
  return rows;
}

struct Chain {
  const char* name;
  SamplingOptions options;
};

std::vector<Chain> Chains() {
  std::vector<Chain> chains;
  chains.push_back({"greedy", {}});
  chains.push_back({"temperature", {.temperature = 0.7}});
  chains.push_back({"card", {.temperature = 0.7, .top_k = 50}});
  chains.push_back({"top_k_1000_top_p", {.temperature = 1, .top_k = 1000, .top_p = 0.95}});
  chains.push_back({"top_p", {.temperature = 0.7, .top_p = 0.9}});
  chains.push_back({"flat_top_p", {.temperature = 5, .top_p = 0.95}});
  chains.push_back({"min_p", {.temperature = 1, .min_p = 0.05}});
  SamplingOptions all = {.temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05};
  all.repetition_penalty = 1.1;
  all.presence_penalty = 0.1;
  all.frequency_penalty = 0.1;
  chains.push_back({"penalties_top_k_top_p_min_p", all});
  all.dry_multiplier = 0.8;
  all.no_repeat_ngram_size = 4;
  chains.push_back({"with_dry_and_ngrams", all});
  SamplingOptions mirostat = {.temperature = 0.8};
  mirostat.mirostat = 2;
  chains.push_back({"mirostat", mirostat});
  return chains;
}

void BM_Choose(benchmark::State& state, const SamplingOptions& options, bool plain) {
  const std::vector<std::vector<float>> rows = Rows();
  SamplerSetup setup = {.options = options, .seed = 1, .plain = plain};
  setup.known_ids = 50280;
  Sampler sampler(setup, kVocab);
  SamplerWorkspace workspace(kVocab);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kContext; ++i) ids.push_back(static_cast<int32_t>((i * i * 7919) % 3001));
  int64_t generated = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        sampler.Choose(rows[static_cast<size_t>(generated) % rows.size()], ids, generated, workspace));
    ++generated;
  }
}

void BM_LogSumExp(benchmark::State& state) {
  const std::vector<std::vector<float>> rows = Rows();
  size_t r = 0;
  for (auto _ : state) benchmark::DoNotOptimize(LogSumExp(rows[r++ % rows.size()].data(), kVocab));
}

void BM_SoftmaxWeights(benchmark::State& state) {
  const std::vector<std::vector<float>> rows = Rows();
  std::vector<float> weights(kVocab);
  size_t r = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(SoftmaxWeights(rows[r++ % rows.size()].data(), kVocab, 20, weights.data()));
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) {
  for (const auto& chain : stablelm::Chains()) {
    for (const bool plain : {false, true}) {
      const std::string name = std::string("Choose/") + chain.name + (plain ? "/plain" : "/fast");
      benchmark::RegisterBenchmark(name.c_str(), stablelm::BM_Choose, chain.options, plain)
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RegisterBenchmark("LogSumExp", stablelm::BM_LogSumExp)->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("SoftmaxWeights", stablelm::BM_SoftmaxWeights)->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
