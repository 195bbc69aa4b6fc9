// Speed of the operations at the 3B model's shapes: bytes of weights per second for few rows, floating-point operations
// per second for many. STABLELM_SIMD selects the target; the second argument of each name is the number of rows.
//
//   build/release/bench/ops_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "base/system.h"
#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/attention_backward.h"
#include "ops/column_sums.h"
#include "ops/cross_entropy.h"
#include "ops/embedding_gradient.h"
#include "ops/gelu_backward.h"
#include "ops/gradient_norm.h"
#include "ops/layer_norm_backward.h"
#include "ops/matmul.h"
#include "ops/matmul_backward.h"
#include "ops/quant/quant_row.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr size_t kInCache = size_t{1} << 20;  // weights of fewer bytes stay in cache: measures arithmetic
constexpr size_t kCopies = 4;  // of the weights, used in turn: more than the caches hold, as in the model

// Values of moderate size in every type, never subnormal or huge.
void FillRow(DType type, int64_t k, std::byte* row) {
  if (IsQuantized(type)) {
    std::vector<float> values(static_cast<size_t>(k));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.02f * static_cast<float>(i * 37 % 251) - 2.5f;
    EncodeRow(type, values, {}, row);
    return;
  }
  for (size_t i = 0; i < BytesOf(type, k); ++i) {
    row[i] = static_cast<std::byte>(i % 2 ? 0x2C + (i / 2 % 8) : i * 37 % 251);
  }
}

void BM_MatMul(benchmark::State& state, DType type, int64_t n, int64_t k) {
  const int64_t m = state.range(0);
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, static_cast<size_t>(m), static_cast<size_t>(k));
  const size_t bytes = static_cast<size_t>(n) * BytesOf(type, k);
  const size_t copies = bytes < kInCache ? 1 : kCopies;
  std::vector<PackedMatrix> weights;
  {
    AlignedBuffer<std::byte> stored(kPanelRows * BytesOf(type, k), "weights");
    for (size_t r = 0; r < kPanelRows; ++r) FillRow(type, k, stored.data() + r * BytesOf(type, k));
    for (size_t i = 0; i < copies; ++i) {
      weights.emplace_back(type, n, k, "weights");
      pool.ForEach(weights.back().panels(), [&](size_t p, size_t) { weights.back().Pack(p, stored.data()); });
    }
  }
  std::vector<float> x(static_cast<size_t>(m * k), 0.5f), y(static_cast<size_t>(m * n));
  size_t copy = 0;
  for (auto _ : state) {
    MatMul({.x = x.data(), .m = m, .w = &weights[copy], .bias = nullptr, .y = y.data()}, exec);
    copy = (copy + 1) % copies;
    benchmark::DoNotOptimize(y.data());
  }
  const double runs = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(runs * static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsRate);
  state.counters["Gflop/s"] =
      benchmark::Counter(runs * 2e-9 * static_cast<double>(m * n * k), benchmark::Counter::kIsRate);
}

// Layers of the 3B model, one after another: `rows` new tokens of a sequence of range(1) tokens.
void BM_Attention(benchmark::State& state, DType type) {
  const int64_t rows = state.range(0), positions = state.range(1), heads = 32, dims = 128;
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, 1, 1);
  const RotaryTable rotary(32, 10000, 4096);
  const KvLayout layout = {.n_heads = heads, .head_dim = dims, .dtype = type};
  std::vector<int32_t> pages;
  for (int32_t p = 0; p * kKvPageTokens < positions; ++p) pages.push_back(p);
  // As many as memory holds of a model: the caches of some processors hold 100 MB.
  const size_t layers = std::max(kCopies, (size_t{512} << 20) / (pages.size() * layout.PageBytes()));
  AlignedBuffer<std::byte> cache(pages.size() * layers * layout.PageBytes(), "cache");
  std::fill(cache.span().begin(), cache.span().end(), std::byte{0});
  std::vector<float> qkv(static_cast<size_t>(rows * 3 * heads * dims), 0.1f),
      out(static_cast<size_t>(rows * heads * dims));
  const AttentionSequence sequence = {.row_begin = 0, .rows = rows, .start = positions - rows, .pages = pages};
  AttentionInput in = {.qkv = qkv.data(),
                       .qkv_layout = QkvLayout::PerHead(dims),
                       .out = out.data(),
                       .sequences = {&sequence, 1},
                       .cache = {.pages = cache.data(), .stride = layers * layout.PageBytes(), .layout = layout},
                       .rotary = &rotary};
  size_t layer = 0;
  for (auto _ : state) {
    in.cache.pages = cache.data() + layer++ % layers * layout.PageBytes();
    Attend(in, exec);
    benchmark::DoNotOptimize(out.data());
  }
  const double bytes = static_cast<double>(pages.size() * layout.PageBytes()) * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsRate);
}

// One document of range(0) tokens, on one thread. Counts the five products of the backward pass of causal attention,
// without what blocks on the diagonal compute in vain.
void BM_AttentionBackward(benchmark::State& state) {
  const int64_t rows = state.range(0), dims = state.range(1), heads = 4;
  ThreadPool pool(1);
  ExecutionContext exec(pool, 1, 1);
  const RotaryTable rotary(dims / 4, 10000, rows);
  const std::vector<float> qkv(static_cast<size_t>(rows * 3 * heads * dims), 0.1f),
      out(static_cast<size_t>(rows * heads * dims), 0.1f), log_sum_exp(static_cast<size_t>(rows * heads), 8.0f);
  std::vector<float> d_qkv(qkv.size());
  const AttentionSequence document = {.row_begin = 0, .rows = rows, .start = 0, .pages = {}};
  for (auto _ : state) {
    AttentionBackward({.qkv = qkv.data(),
                       .qkv_layout = QkvLayout::PerHead(dims),
                       .out = out.data(),
                       .log_sum_exp = log_sum_exp.data(),
                       .d_out = out.data(),
                       .d_qkv = d_qkv.data(),
                       .n_heads = heads,
                       .head_dim = dims,
                       .sequences = {&document, 1},
                       .rotary = &rotary},
                      exec);
    benchmark::DoNotOptimize(d_qkv.data());
  }
  const double multiply_adds = 5 * static_cast<double>(heads * dims * rows * (rows + 1) / 2);
  state.counters["Gflop/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 2e-9 * multiply_adds, benchmark::Counter::kIsRate);
}

// Runs `body` and reports the bytes that it must at least read and write.
template <typename F>
void MeasureBytes(benchmark::State& state, size_t bytes, const F& body) {
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  const double all = static_cast<double>(bytes) * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(all * 1e-9, benchmark::Counter::kIsRate);
}

constexpr size_t kParameters = size_t{16} << 20;

// The update of a range of parameters, and a plain loop that reads and writes the same bytes.
void BM_Update(benchmark::State& state, bool adamw, float gradient = 1e-3f, float moment = 0) {
  ThreadPool pool(PhysicalCores());
  std::vector<float> g(kParameters, gradient), w(kParameters, 0.02f), m(kParameters, moment), v(kParameters, moment);
  const AdamWStep step = {.rate = 1e-5, .decay = 0.01, .t = 100};
  MeasureBytes(state, 7 * sizeof(float) * kParameters, [&] {
    pool.ForRanges(kParameters, 65536, [&](size_t begin, size_t end) {
      if (adamw) {
        AdamW(step, end - begin, &g[begin], &w[begin], &m[begin], &v[begin]);
        return;
      }
      const float* const from = g.data();
      float* __restrict const a = w.data();
      float* __restrict const b = m.data();
      float* __restrict const c = v.data();
      for (size_t i = begin; i < end; ++i) {  // loads first: the arrays may differ by a multiple of the page size
        const float change = from[i], next_a = a[i] + change, next_b = b[i] + change, next_c = c[i] + change;
        a[i] = next_a;
        b[i] = next_b;
        c[i] = next_c;
      }
    });
  });
}

void BM_SumsOfSquares(benchmark::State& state) {
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, 1, 1);
  const std::vector<float> g(kParameters, 1e-3f);
  std::vector<double> sums(kParameters / kNormChunk);
  MeasureBytes(state, sizeof(float) * kParameters, [&] { SumsOfSquares(g.data(), g.size(), sums, exec); });
}

// The products of a Linear [n, k] in training: forward, and the gradients of its rows and weights, which have the same
// multiply-adds. range(0): rows.
enum class Product { kForward, kDx, kDw };
void BM_TrainingProduct(benchmark::State& state, Product product, Compute compute, int64_t n, int64_t k) {
  const int64_t m = state.range(0);
  const DType type = compute == Compute::kFast ? DType::kBF16 : DType::kF32;
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool,
                        std::max(MatMulBackwardFloats(m, n, k),
                                 ExecutionContext::PreparedFloats(static_cast<size_t>(m), static_cast<size_t>(k))));
  PackedMatrix w(type, n, k, "weights", compute);
  AlignedBuffer<std::byte> stored(kPanelRows * BytesOf(type, k), "weights");
  for (size_t r = 0; r < kPanelRows; ++r) FillRow(type, k, stored.data() + r * BytesOf(type, k));
  for (size_t p = 0; p < w.panels(); ++p) w.Pack(p, stored.data());
  AlignedBuffer<float> dw(w.panels() * kPanelRows * static_cast<size_t>(k), "gradient");
  std::vector<float> x(static_cast<size_t>(m * k), 0.5f), y(static_cast<size_t>(m * n), 0.25f);
  for (auto _ : state) {
    switch (product) {
      case Product::kForward:
        MatMul({.x = x.data(), .m = m, .w = &w, .y = y.data()}, exec);
        break;
      case Product::kDx:
        MatMulInputGradient({.dy = y.data(), .m = m, .w = &w, .dx = x.data()}, exec);
        break;
      case Product::kDw:
        MatMulWeightGradient(
            {.dy = y.data(), .x = {.x = x.data(), .rows = m}, .n = n, .k = k, .dw = dw.data(), .compute = compute},
            exec);
    }
    benchmark::ClobberMemory();
  }
  state.counters["Gflop/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(m * n * k) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// 2,048 rows of the 3B model's width, in training.
void BM_Backward(benchmark::State& state, const char* name) {
  const std::string op = name;
  const size_t rows = 2048, width = 4096, n = rows * width;
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, rows, width);
  std::vector<float> x(n), dy(n, 0.5f), dx(n), weight(width, 1.0f), bias(width), d_weight(width), d_bias(width);
  for (size_t i = 0; i < n; ++i) x[i] = 0.02f * static_cast<float>(i * 37 % 251) - 2.5f;
  if (op == "LayerNorm") {
    const LayerNormBackwardInput in = {.x = x.data(),
                                       .dy = dy.data(),
                                       .rows = rows,
                                       .width = width,
                                       .norm = {.weight = weight.data(), .bias = bias.data(), .eps = 1e-5},
                                       .dx = dx.data(),
                                       .d_weight = d_weight.data(),
                                       .d_bias = d_bias.data()};
    MeasureBytes(state, 3 * n * sizeof(float), [&] { LayerNormBackward(in, exec); });
  } else if (op == "ColumnSums") {
    const ColumnSumsInput in = {.x = x.data(), .rows = rows, .width = width, .sums = d_bias.data()};
    MeasureBytes(state, n * sizeof(float), [&] { ColumnSums(in, exec); });
  } else {
    const GeluForm form = op == "GeluErf" ? GeluForm::kErf : GeluForm::kTanh;
    MeasureBytes(state, 3 * n * sizeof(float), [&] { GeluBackward(form, x.data(), dy.data(), n, dx.data(), exec); });
  }
}

void BM_CrossEntropy(benchmark::State& state) {
  const int64_t rows = 256, vocab_size = 50688;
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, 1, 1);
  const size_t n = static_cast<size_t>(rows * vocab_size);
  std::vector<float> logits(n, 0.1f);
  const std::vector<int32_t> targets(static_cast<size_t>(rows), 7);
  std::vector<double> losses(static_cast<size_t>(rows));
  const CrossEntropyInput in = {.logits = logits.data(),
                                .targets = targets.data(),
                                .rows = rows,
                                .vocab_size = vocab_size,
                                .losses = losses.data()};
  MeasureBytes(state, 2 * n * sizeof(float), [&] { CrossEntropy(in, exec); });
}

void BM_EmbeddingGradient(benchmark::State& state, bool packed) {
  const size_t rows = 2048, vocab_size = 8192, width = 4096;
  ThreadPool pool(PhysicalCores());
  ExecutionContext exec(pool, 1, 1);
  std::vector<float> d_table(vocab_size * width), dy(rows * width, 0.5f);
  std::vector<int32_t> ids(rows), order(rows);
  for (size_t r = 0; r < rows; ++r) ids[r] = static_cast<int32_t>(r * 2654435761 % vocab_size);
  const EmbeddingGradientInput in = {
      .ids = ids, .dy = dy.data(), .width = width, .d_table = d_table.data(), .packed = packed, .order = order};
  MeasureBytes(state, 3 * rows * width * sizeof(float), [&] { EmbeddingGradient(in, exec); });
}

void RegisterTraining() {
  const auto add = [](const std::string& name, auto&& function) {
    benchmark::RegisterBenchmark(name.c_str(), function)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  struct Linear {
    const char* name;
    int64_t n, k;
  };
  for (const Linear& w : {Linear{"512x512", 512, 512}, Linear{"2048x512", 2048, 512}, Linear{"512x2048", 512, 2048},
                          Linear{"8192x512", 8192, 512}, Linear{"4096x4096", 4096, 4096}}) {
    for (const Compute compute : {Compute::kExact, Compute::kFast}) {
      for (const auto& [name, product] :
           {std::pair{"forward", Product::kForward}, {"dx", Product::kDx}, {"dW", Product::kDw}}) {
        const std::string full =
            std::string("Training/") + w.name + "/" + (compute == Compute::kFast ? "bf16/" : "fp32/") + name;
        benchmark::RegisterBenchmark(full.c_str(), BM_TrainingProduct, product, compute, w.n, w.k)
            ->Arg(2048)
            ->MeasureProcessCPUTime()
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  add("Update/adamw", [](benchmark::State& state) { BM_Update(state, true); });
  // Rows of tokens that no longer occur: their moments fade into the denormals.
  add("Update/faded", [](benchmark::State& state) { BM_Update(state, true, 0, 1e-39f); });
  add("Update/bytes", [](benchmark::State& state) { BM_Update(state, false); });
  add("SumsOfSquares", BM_SumsOfSquares);
  for (const char* const name : {"LayerNorm", "ColumnSums", "GeluErf", "GeluTanh"}) {
    add("Backward/" + std::string(name), [name](benchmark::State& state) { BM_Backward(state, name); });
  }
  add("CrossEntropy", BM_CrossEntropy);
  add("EmbeddingGradient/rows", [](benchmark::State& state) { BM_EmbeddingGradient(state, false); });
  add("EmbeddingGradient/packed", [](benchmark::State& state) { BM_EmbeddingGradient(state, true); });
}

void Register() {
  struct Matrix {
    const char* name;
    int64_t n, k;
  };
  for (const Matrix& matrix : {Matrix{"cached", 128, 4096}, Matrix{"qkv", 12288, 4096}, Matrix{"mlp_up", 16384, 4096},
                               Matrix{"mlp_down", 4096, 16384}}) {
    for (const DType type : {DType::kF16, DType::kBF16, DType::kF32, DType::kQ8_0, DType::kQ6_K, DType::kQ5_K,
                             DType::kQ4_K, DType::kQ4_0}) {
      const std::string name = "MatMul/" + std::string(matrix.name) + "/" + std::string(NameOf(type));
      auto* bench = benchmark::RegisterBenchmark(name.c_str(), BM_MatMul, type, matrix.n, matrix.k);
      bench->Arg(1)->Arg(2)->Arg(4)->Arg(16)->Arg(128)->UseRealTime()->Unit(benchmark::kMillisecond);
    }
  }
  for (const DType type : {DType::kF32, DType::kF16, DType::kI8}) {
    const std::string name = "Attention/" + std::string(KvTypeName(type));
    auto* bench = benchmark::RegisterBenchmark(name.c_str(), BM_Attention, type);
    bench->Args({1, 128})
        ->Args({1, 4096})
        ->Args({128, 128})
        ->Args({256, 4096})
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  auto* bench = benchmark::RegisterBenchmark("AttentionBackward", BM_AttentionBackward);
  for (const int64_t dims : {64, 128}) {
    for (const int64_t rows : {64, 256, 512, 4096}) bench->Args({rows, dims});
  }
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) {
  if (const char* target = std::getenv("STABLELM_SIMD")) stablelm::SelectSimdTarget(target);
  stablelm::Register();
  stablelm::RegisterTraining();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("simd", stablelm::SimdTargetInUse());
  benchmark::AddCustomContext("cpu", stablelm::CpuModelName());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
