// Tests the sums of squared input activations: multiplying the observed inputs with each matrix gives the model's
// output. For every Linear, any number of threads and any chunks.
#include "eval/importance_collector.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/tensor_values.h"
#include "checkpoint/tiny_model.h"
#include "eval/text_windows.h"
#include "model/model_testing.h"
#include "ops/convert.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

const std::filesystem::path kGolden = TestData("golden");
const std::vector<int32_t> kIds = {5, 17, 290, 3, 44, 44, 7, 250, 61, 2, 77, 81, 13, 101, 199, 1, 6, 8, 32, 15};

std::vector<ImportanceSums> Collect(const Transformer& model, int64_t window, size_t threads) {
  ThreadPool pool(threads);
  ImportanceCollector collector(model.config(), pool);
  const std::vector<TextWindow> windows = TextWindows(kIds, window);
  RunWindows(model, ShapeOfWindows(window, false, threads), pool, windows, {.hooks = {.observer = &collector}});
  return collector.Result();
}

// Records every step of a pass.
struct Recorder : ForwardObserver {
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override {
    std::vector<float>& values = steps[std::to_string(layer) + " " + std::string(module)];
    values.insert(values.end(), y, y + rows * width);
  }
  std::map<std::string, std::vector<float>> steps;
};

struct Wires {
  WeightKind weight, bias;
  const char* input;
  const char* output;
};
const Wires kWires[] = {
    {WeightKind::kQkvWeight, WeightKind::kQkvBias, "input_layernorm", "attention.query_key_value"},
    {WeightKind::kAttnOutWeight, WeightKind::kAttnOutBias, "attention", "attention.dense"},
    {WeightKind::kMlpUpWeight, WeightKind::kMlpUpBias, "post_attention_layernorm", "mlp.dense_h_to_4h"},
    {WeightKind::kMlpDownWeight, WeightKind::kMlpDownBias, "mlp.act", "mlp.dense_4h_to_h"},
    {WeightKind::kOutput, WeightKind::kOutput, "final_layer_norm", "embed_out"},
};

TEST(ImportanceCollector, SumsTheSquaresOfWhatEachMatrixTakes) {
  for (const char* name : {"parallel", "sequential", "gelu_tanh"}) {
    SCOPED_TRACE(name);
    const auto folder = ModelFolder::Open((kGolden / name).string());
    const Transformer model(LoadWeights(folder, {}));
    const auto values_of = [&](WeightKind kind, int32_t layer) {
      const auto at = std::ranges::find_if(folder->table(),
                                           [&](const WeightEntry& e) { return e.kind == kind && e.layer == layer; });
      return FloatsOf(*folder, static_cast<size_t>(at - folder->table().begin()));
    };
    const std::vector<ImportanceSums> got = Collect(model, 20, 2);
    Recorder recorder;
    LogitsInChunks(model, kIds, 20, 1, DType::kF32, &recorder);
    size_t matrices = 0;
    for (const WeightEntry& entry : folder->table()) {
      if (!entry.IsMatrix() || entry.kind == WeightKind::kEmbedding) continue;
      SCOPED_TRACE(entry.name);
      const Wires* wires = std::ranges::find(kWires, entry.kind, &Wires::weight);
      const auto step = [&](const char* module) {
        return recorder.steps.at(std::to_string(entry.layer) + " " + module);
      };
      const std::vector<float> x = step(wires->input), y = step(wires->output);
      const size_t N = static_cast<size_t>(entry.shape[0]), K = static_cast<size_t>(entry.shape[1]);
      ASSERT_EQ(x.size(), kIds.size() * K);
      // Check that x is the input of the matrix: W x + b is the observed output.
      const std::vector<float> w = values_of(entry.kind, entry.layer);
      std::vector<float> b;
      if (entry.kind != WeightKind::kOutput) b = values_of(wires->bias, entry.layer);
      for (size_t t = 0; t < kIds.size(); ++t) {
        for (size_t n = 0; n < N; ++n) {
          double sum = b.empty() ? 0 : static_cast<double>(b[n]), size = std::abs(sum);
          for (size_t k = 0; k < K; ++k) {
            const double term = static_cast<double>(w[n * K + k]) * static_cast<double>(x[t * K + k]);
            sum += term;
            size += std::abs(term);
          }
          // K + 1 additions in fp32, each with an error of at most 2^-24 of the sum of magnitudes.
          ASSERT_LE(std::abs(sum - static_cast<double>(y[t * N + n])), static_cast<double>(K + 1) * 0x1p-24 * size);
        }
      }
      const ImportanceSums& sums = got.at(matrices++);
      EXPECT_EQ(sums.name, GgufTensorName(entry));
      EXPECT_EQ(sums.tokens, kIds.size());
      ASSERT_EQ(sums.squares.size(), K);
      for (size_t k = 0; k < K; ++k) {
        double want = 0;
        for (size_t t = 0; t < kIds.size(); ++t) want += std::pow(static_cast<double>(x[t * K + k]), 2);
        ASSERT_LE(std::abs(sums.squares[k] - want), 1e-14 * want);
      }
    }
    EXPECT_EQ(got.size(), matrices);
  }
}

TEST(ImportanceCollector, SameBitsForAnyThreads) {
  const Transformer model = LoadModel(kGolden / "head128_fp16");
  const std::vector<ImportanceSums> want = Collect(model, 7, 1);
  for (const size_t threads : {size_t{2}, size_t{5}}) {
    const std::vector<ImportanceSums> got = Collect(model, 7, threads);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].tokens, 20u);
      EXPECT_EQ(got[i].squares, want[i].squares) << got[i].name;
    }
  }
  // Other windows give other sums, because every window starts with an empty context.
  EXPECT_NE(Collect(model, 10, 1).back().squares, want.back().squares);
}

TEST(ImportanceCollector, TheOutputOfATiedModelIsItsEmbedding) {
  const TempFolder temp;
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  ThreadPool pool(1);
  const std::vector<ImportanceSums> sums = ImportanceCollector(config, pool).Result();
  EXPECT_EQ(sums[0].name, "token_embd.weight");
  EXPECT_EQ(sums.size(), 1u + 4 * 2);
}

}  // namespace
}  // namespace stablelm
