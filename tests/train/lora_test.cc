// Training of adapters: what may not change a bit, gradients against finite differences, quantized bases.
#include <algorithm>

#include "generate/scoring.h"
#include "temp_folder.h"
#include "train/drawn_model.h"
#include "train/save_parameters.h"

namespace stablelm {
namespace {

// A base of odd sizes, and adapters over it with random A and B.
struct Adapted {
  std::unique_ptr<Parameters> base;  // owns what the adapters view
  std::unique_ptr<Parameters> adapters;
};
void DrawBoth(Parameters& adapters, double scale = 0.2) {
  for (size_t e = 0; e < adapters.table().entries().size(); ++e) {
    const Parameter& p = adapters.table().entries()[e];
    if (p.part == AdapterPart::kNone) continue;
    adapters.SetRows(e, 0, RandomNormals(static_cast<size_t>(p.weight.shape.NumElements()), 500 + e, scale));
  }
}
Adapted AdaptedModel(const LoraOptions& lora, ThreadPool& pool, bool parallel = true,
                     Precision precision = Precision::kF32) {
  ModelConfig config = OddConfig();
  config.parallel_residual = parallel;
  Adapted model = {.base = Drawn(config, pool, precision), .adapters = {}};
  model.adapters =
      std::make_unique<Parameters>(model.base->weights(), ParameterTable(config, lora), QkvOrder::kPerHead);
  DrawBoth(*model.adapters);
  return model;
}

struct LoraOutcome {
  std::vector<double> losses;
  std::vector<float> gradients;
  bool operator==(const LoraOutcome&) const = default;
};
LoraOutcome RunPass(Parameters& parameters, TrainBatch batch, size_t threads, Recompute recompute = Recompute::kNone,
                    uint64_t step = 0) {
  ThreadPool pool(threads);
  GradientPass pass(parameters, ShapeOf(parameters, batch, threads, recompute), pool);
  std::ranges::fill(parameters.gradients(), 7.0f);  // what is not written shows
  const auto losses = pass.Run({.batch = batch, .scale = 1.0 / static_cast<double>(CountTargets(batch)), .step = step});
  return {{losses.begin(), losses.end()}, {parameters.gradients().begin(), parameters.gradients().end()}};
}
double MeanLoss(Parameters& parameters, TrainBatch batch) {
  double sum = 0;
  for (const double loss : RunPass(parameters, batch, 2).losses) sum += loss;
  return sum / static_cast<double>(CountTargets(batch));
}

TEST(LoraTable, AdaptersFollowAFrozenModel) {
  const ModelConfig config = OddConfig();
  LoraOptions lora = LoraOf(5, 10);
  lora.targets = {WeightKind::kAttnOutWeight, WeightKind::kMlpDownWeight};
  const ParameterTable table(config, lora);
  EXPECT_EQ(table.NumParameters(), ParameterTable(config).NumParameters());
  EXPECT_EQ(table.NumTrained(), 3 * 5 * (60 + 60 + 150 + 60));
  EXPECT_EQ(table.lowest_trained_layer(), 0);
  const Parameter* const a = table.FindAdapter(WeightKind::kMlpDownWeight, 1, AdapterPart::kA);
  const Parameter* const b = table.FindAdapter(WeightKind::kMlpDownWeight, 1, AdapterPart::kB);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->weight.name, "gpt_neox.layers.1.mlp.dense_4h_to_h.lora_A.weight");
  EXPECT_EQ(a->weight.shape, (Shape{5, 150}));
  EXPECT_EQ(b->weight.name, "gpt_neox.layers.1.mlp.dense_4h_to_h.lora_B.weight");
  EXPECT_EQ(b->weight.shape, (Shape{60, 5}));
  EXPECT_FALSE(a->decay);
  EXPECT_TRUE(b->decay);
  EXPECT_EQ(table.FindAdapter(WeightKind::kQkvWeight, 1, AdapterPart::kA), nullptr);
  EXPECT_FALSE(table.Find(WeightKind::kMlpDownWeight, 1).trained);
  for (const Parameter& p : table.entries()) {
    EXPECT_EQ(p.trained, p.part != AdapterPart::kNone);
    EXPECT_EQ(p.offset % kParameterAlignment, 0u);
  }
}

// B is zero, A within the bound and not constant; another seed gives other values. The first loss is the base's.
TEST(LoraStart, IsTheBase) {
  ThreadPool pool(2);
  const OwnedBatch documents = Documents(OddConfig().vocab_size);
  Adapted model = AdaptedModel(LoraOf(5, 10), pool);
  Parameters& adapters = *model.adapters;
  std::ranges::fill(adapters.masters(), 0.0f);
  DrawAdapters(adapters, pool);
  for (size_t e = 0; e < adapters.table().entries().size(); ++e) {
    const Parameter& p = adapters.table().entries()[e];
    if (p.part == AdapterPart::kNone) continue;
    const std::vector<float> values = InRows(adapters, adapters.masters(), e);
    const float bound = p.part == AdapterPart::kB ? 0 : 1 / std::sqrt(static_cast<float>(p.weight.shape[1]));
    const auto [least, most] = std::ranges::minmax(values);
    EXPECT_GE(least, -bound);
    EXPECT_LE(most, bound);
    if (p.part == AdapterPart::kA) {
      EXPECT_LT(least, -0.9f * bound);
      EXPECT_GT(most, 0.9f * bound);
    }
  }
  GradientPass of_base(*model.base, ShapeOf(*model.base, documents.batch(), 2), pool);
  const auto losses = of_base.Losses(documents.batch());
  EXPECT_EQ(RunPass(adapters, documents.batch(), 2).losses, std::vector<double>(losses.begin(), losses.end()));
  LoraOptions other = LoraOf(5, 10);
  other.seed = 4;
  Adapted changed = AdaptedModel(other, pool);
  DrawAdapters(*changed.adapters, pool);
  EXPECT_NE(adapters.masters()[0], changed.adapters->masters()[0]);
}

// As GradientPass.EveryTensorAgreesWithFiniteDifferencesOfTheLoss, with dropout, whose elements the key fixes.
TEST(LoraGradients, AgreeWithFiniteDifferencesOfTheLoss) {
  if (TilesInUse()) SelectSimdTarget("avx3");
  ThreadPool pool(2);
  for (const bool parallel : {true, false}) {
    for (const double dropout : {0.0, 0.3}) {
      SCOPED_TRACE(testing::Message() << "parallel " << parallel << ", dropout " << dropout);
      Adapted model = AdaptedModel(LoraOf(5, 10, dropout), pool, parallel);
      Parameters& adapters = *model.adapters;
      const OwnedBatch documents = Documents(OddConfig().vocab_size);
      const LoraOutcome outcome = RunPass(adapters, documents.batch(), 2);
      for (const Parameter& p : adapters.table().entries()) {
        if (!p.trained) continue;
        const std::span<const float> gradient(outcome.gradients.data() + p.offset, p.size);
        double square = 0;
        for (const float g : gradient) square += static_cast<double>(g) * static_cast<double>(g);
        const double norm = std::sqrt(square);
        ASSERT_TRUE(norm > 1e-6) << p.weight.name << " " << norm;
        const double step = std::min(0.02, 1e-3 / norm);
        const std::span<float> values = adapters.masters().subspan(p.offset, p.size);
        const std::vector<float> saved(values.begin(), values.end());
        const auto loss_at = [&](double h) {
          for (size_t i = 0; i < p.size; ++i) {
            values[i] = static_cast<float>(static_cast<double>(saved[i]) + h * static_cast<double>(gradient[i]) / norm);
          }
          return MeanLoss(adapters, documents.batch());
        };
        const double derivative = (loss_at(step) - loss_at(-step)) / (2 * step);
        std::ranges::copy(saved, values.begin());
        EXPECT_TRUE(std::abs(derivative - norm) <= 2e-3 * norm + 1e-7 / step)
            << p.weight.name << ": " << derivative << ", expected " << norm;
      }
    }
  }
  SelectSimdTarget("");
}

// Threads and what is computed again change no bit, with dropout too.
TEST(LoraGradients, ThreadsAndRecomputeChangeNothing) {
  ThreadPool pool(2);
  const OwnedBatch documents = Documents(OddConfig().vocab_size);
  for (const bool parallel : {true, false}) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      for (const double dropout : {0.0, 0.5}) {
        Adapted model = AdaptedModel(LoraOf(7, 10, dropout), pool, parallel, precision);
        const LoraOutcome want = RunPass(*model.adapters, documents.batch(), 1);
        EXPECT_EQ(RunPass(*model.adapters, documents.batch(), 3), want);
        for (const Recompute recompute : {Recompute::kMlp, Recompute::kLayer}) {
          EXPECT_EQ(RunPass(*model.adapters, documents.batch(), 2, recompute), want) << NameOf(recompute);
        }
        if (dropout == 0) continue;
        EXPECT_NE(RunPass(*model.adapters, documents.batch(), 2, Recompute::kNone, 1).losses, want.losses)
            << "another step";
        GradientPass pass(*model.adapters, ShapeOf(*model.adapters, documents.batch(), 2), pool);
        const auto losses = pass.Losses(documents.batch());
        EXPECT_FALSE(std::ranges::equal(losses, want.losses)) << "validation has no dropout";
      }
    }
  }
}

// The elements that dropout keeps belong to the tokens of the step: cutting it into micro-batches changes no loss.
TEST(LoraDropout, MicroBatchesHaveTheElementsOfTheWholeStep) {
  ThreadPool pool(2);
  const OwnedBatch documents = Documents(OddConfig().vocab_size);
  const TrainBatch all = documents.batch();
  const auto run = [&](const std::vector<TrainBatch>& micro_batches) {
    Adapted model = AdaptedModel(LoraOf(4, 8, 0.4), pool);
    TrainingStep step(*model.adapters, ShapeOf(*model.adapters, all, 2), {}, {}, pool);
    const StepResult result = step.Run(micro_batches, 1e-3);
    return std::vector<double>(result.document_losses.begin(), result.document_losses.end());
  };
  EXPECT_EQ(run({all.first(1), all.subspan(1)}), run({all}));
}

// Widths that super-blocks divide.
ModelConfig WideConfig() {
  ModelConfig config = OddConfig();
  config.hidden_size = 256, config.n_heads = 4, config.intermediate_size = 512, config.n_layers = 2;
  config.rotary_dims = 16, config.rotary_share = 0.25;
  return config;
}
std::vector<DType> TypesOf(const ModelConfig& config, DType matrices) {
  std::vector<DType> types;
  for (const WeightEntry& entry : WeightTable(config)) types.push_back(entry.IsMatrix() ? matrices : DType::kF32);
  return types;
}

// What is trained is what answers: over a quantized base, loaded or quantized on load, the losses of a step are those
// of scoring, bit for bit.
TEST(LoraOverQuantizedBase, LossesHaveTheBitsOfScoring) {
  ThreadPool pool(2);
  const ModelConfig config = WideConfig();
  const TempFolder temp;
  SaveParameters(*Drawn(config, pool), temp.path() / "model", {}, pool);
  OwnedBatch documents;
  for (const size_t n : {size_t{41}, size_t{3}, size_t{64}}) documents.AddText(RandomIds(n, config.vocab_size, n));
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const std::vector<DType> types = TypesOf(config, type);
    ForEachSimdTarget([&] {
      if (TilesInUse() && type != DType::kQ4_K) return;
      const auto parameters = LoadAdapted(temp.path() / "model", LoraOf(8, 16), pool, {.types = types, .pool = &pool});
      EXPECT_EQ(parameters->weights()->blocks[0].qkv.type(), type);
      DrawBoth(*parameters);
      const LoraOutcome outcome = RunPass(*parameters, documents.batch(), 2);
      std::vector<double> scores;
      const Transformer model(parameters->weights());
      Scorer scorer(model, ShapeOfScore(64, DType::kF32, 2), pool);
      for (const auto& ids : documents.tokens) {
        for (const double logprob : scorer.Score(ids)) scores.push_back(-logprob);
      }
      EXPECT_EQ(outcome.losses, scores) << NameOf(type);
    });
  }
}

// The gradients are those over the decoded weights in fp32, up to the rounding of activations to 8 bits: within a
// twentieth of each tensor in norm. Weights as `init` draws them: larger ones amplify the rounding.
TEST(LoraOverQuantizedBase, GradientsAreThoseOfTheDecodedWeights) {
  ThreadPool pool(2);
  const OwnedBatch documents = Documents(WideConfig().vocab_size);
  const TempFolder temp;
  SaveParameters(*RandomParameters(WideConfig(), pool), temp.path() / "model", {}, pool);
  const auto parameters = LoadAdapted(temp.path() / "model", LoraOf(8, 16), pool,
                                      {.types = TypesOf(WideConfig(), DType::kQ4_K), .pool = &pool});
  Parameters decoded(WideConfig(), ParameterTable(WideConfig()), Precision::kF32, QkvOrder::kPerHead);
  for (size_t e = 0; e < decoded.table().entries().size(); ++e) {
    const WeightEntry& entry = decoded.table().entries()[e].weight;
    const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1, columns = entry.shape[entry.IsMatrix() ? 1 : 0];
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (int64_t row = 0; row < rows; ++row) parameters->weights()->ReadRow(entry, row, values.data() + row * columns);
    decoded.SetRows(e, 0, values);
  }
  Parameters over_decoded(decoded.weights(), ParameterTable(WideConfig(), LoraOf(8, 16)), QkvOrder::kPerHead);
  DrawBoth(*parameters, 0.02);
  DrawBoth(over_decoded, 0.02);
  const LoraOutcome got = RunPass(*parameters, documents.batch(), 2),
                    want = RunPass(over_decoded, documents.batch(), 2);
  for (const Parameter& p : over_decoded.table().entries()) {
    if (!p.trained) continue;
    double error = 0, size = 0;
    for (size_t i = p.offset; i < p.offset + p.size; ++i) {
      const double g = static_cast<double>(got.gradients[i]), w = static_cast<double>(want.gradients[i]);
      error += (g - w) * (g - w);
      size += w * w;
    }
    EXPECT_LE(std::sqrt(error), 0.05 * std::sqrt(size)) << p.weight.name;
    EXPECT_GT(std::sqrt(error), 1e-5 * std::sqrt(size)) << p.weight.name << ": not the integer product";
  }
}

}  // namespace
}  // namespace stablelm
