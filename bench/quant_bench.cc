// Speed of encoding and decoding quantized rows on one thread, in million weights per second.
//
//   build/release/bench/quant_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "base/system.h"
#include "ops/quant/quant_row.h"
#include "ops/random/random_normal.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr size_t kRow = 4096, kRows = 64;

std::vector<float> Weights() {
  std::vector<float> values(kRow * kRows);
  FillNormal(1, 0, 0, 0.02f, values.data(), values.size());
  return values;
}

void Report(benchmark::State& state) {
  state.counters["Mweights/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(kRow * kRows) * 1e-6, benchmark::Counter::kIsRate);
}

void BM_Encode(benchmark::State& state, DType type) {
  const std::vector<float> values = Weights();
  std::vector<std::byte> out(BytesOf(type, kRow));
  for (auto _ : state) {
    for (size_t row = 0; row < kRows; ++row) {
      EncodeRow(type, std::span(values).subspan(row * kRow, kRow), {}, out.data());
    }
    benchmark::DoNotOptimize(out.data());
  }
  Report(state);
}

void BM_Decode(benchmark::State& state, DType type) {
  const std::vector<float> values = Weights();
  const size_t bytes = BytesOf(type, kRow);
  std::vector<std::byte> rows(bytes * kRows);
  for (size_t row = 0; row < kRows; ++row) {
    EncodeRow(type, std::span(values).subspan(row * kRow, kRow), {}, rows.data() + row * bytes);
  }
  std::vector<float> out(kRow);
  for (auto _ : state) {
    for (size_t row = 0; row < kRows; ++row) DecodeRow(type, rows.data() + row * bytes, out);
    benchmark::DoNotOptimize(out.data());
  }
  Report(state);
}

void Register() {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const std::string name(NameOf(type));
    benchmark::RegisterBenchmark(("Encode/" + name).c_str(), BM_Encode, type)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("Decode/" + name).c_str(), BM_Decode, type)->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) {
  if (const char* target = std::getenv("STABLELM_SIMD")) stablelm::SelectSimdTarget(target);
  stablelm::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("simd", stablelm::SimdTargetInUse());
  benchmark::AddCustomContext("cpu", stablelm::CpuModelName());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
