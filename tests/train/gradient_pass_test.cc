// The gradients of whole models: against finite differences of the loss, and what may not change a bit.
#include "train/gradient_pass.h"

#include <map>

#include "generate/scoring.h"
#include "ops/gradient_norm.h"
#include "ops/op_testing.h"
#include "train/drawn_model.h"

namespace stablelm {
namespace {

struct NamedConfig {
  std::string name;
  ModelConfig config;
};
std::vector<NamedConfig> Configs() {
  ModelConfig sequential = OddConfig(), tied = OddConfig(), tanh = OddConfig(), both = OddConfig();
  sequential.parallel_residual = false;
  tied.tie_word_embeddings = true;
  tanh.activation = Activation::kGeluTanh;
  both.parallel_residual = false;
  both.tie_word_embeddings = true;
  return {{"parallel", OddConfig()}, {"sequential", sequential}, {"tied", tied}, {"tanh", tanh}, {"both", both}};
}

struct Outcome {
  std::vector<double> losses;
  std::vector<float> gradients;
};
Outcome RunPass(Parameters& parameters, TrainBatch batch, size_t threads, Recompute recompute = Recompute::kNone,
                GradientObserver* observer = nullptr) {
  ThreadPool pool(threads);
  GradientPass pass(parameters,
                    {.max_tokens = CountTokens(batch),
                     .precision = parameters.precision(),
                     .recompute = recompute,
                     .threads = threads},
                    pool);
  std::ranges::fill(parameters.gradients(), NAN);  // what is not written shows
  for (const Parameter& p : parameters.table().entries()) {
    if (!p.trained) continue;
    // Padding of packed matrices belongs to the gradient; the space between entries does not.
    const size_t end = (p.offset + p.size + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
    std::fill(parameters.gradients().data() + p.offset + p.size, parameters.gradients().data() + end, 0.0f);
  }
  const std::span<const double> losses = pass.Run(
      {.batch = batch, .scale = 1.0 / static_cast<double>(CountTargets(batch)), .gradient_observer = observer});
  Outcome outcome;
  outcome.losses.assign(losses.begin(), losses.end());
  outcome.gradients.assign(parameters.gradients().begin(), parameters.gradients().end());
  return outcome;
}

double MeanLoss(Parameters& parameters, TrainBatch batch, ThreadPool& pool) {
  GradientPass pass(parameters, {.max_tokens = CountTokens(batch), .threads = pool.NumThreads()}, pool);
  double sum = 0;
  for (const double loss : pass.Losses(batch)) sum += loss;
  return sum / static_cast<double>(CountTargets(batch));
}

// The derivative of the loss along the gradient of each tensor is the square of its norm. Central differences along the
// normalised gradient, steps that change the loss by about 1e-3: fp32 noise of the loss (1e-7) and the cubic term leave
// 2e-3 of the derivative; a lost factor or term is far above.
TEST(GradientPass, EveryTensorAgreesWithFiniteDifferencesOfTheLoss) {
  if (TilesInUse()) SelectSimdTarget("avx3");  // thousands of passes: too slow where tiles are emulated
  ThreadPool pool(2);
  for (const auto& [name, config] : Configs()) {
    SCOPED_TRACE(name);
    const auto parameters = Drawn(config, pool);
    const OwnedBatch documents = Documents(config.vocab_size);
    const Outcome outcome = RunPass(*parameters, documents.batch(), 2);
    for (const Parameter& p : parameters->table().entries()) {
      const std::span<const float> gradient(outcome.gradients.data() + p.offset, p.size);
      double square = 0;
      for (const float g : gradient) square += static_cast<double>(g) * static_cast<double>(g);
      const double norm = std::sqrt(square);
      ASSERT_TRUE(norm > 1e-6) << p.weight.name << " " << norm;
      const double step = std::min(0.02, 1e-3 / norm);
      const std::vector<float> saved(parameters->masters().data() + p.offset,
                                     parameters->masters().data() + p.offset + p.size);
      const auto loss_at = [&](double h) {
        for (size_t i = 0; i < p.size; ++i) {
          parameters->masters()[p.offset + i] =
              static_cast<float>(static_cast<double>(saved[i]) + h * static_cast<double>(gradient[i]) / norm);
        }
        return MeanLoss(*parameters, documents.batch(), pool);
      };
      const double derivative = (loss_at(step) - loss_at(-step)) / (2 * step);
      std::copy(saved.begin(), saved.end(), parameters->masters().data() + p.offset);
      EXPECT_TRUE(std::abs(derivative - norm) <= 2e-3 * norm + 1e-7 / step)
          << p.weight.name << ": " << derivative << ", expected " << norm;
    }
  }
  SelectSimdTarget("");
}

TEST(GradientPass, ThreadsAndRecomputingChangeNoBit) {
  ThreadPool pool(1);
  for (const auto& [name, config] : Configs()) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      if (name == "tanh" || name == "tied" || (name == "parallel" && precision == Precision::kBF16)) continue;
      SCOPED_TRACE(name + " " + std::string(NameOf(precision)));
      const auto parameters = Drawn(config, pool, precision);
      const OwnedBatch documents = Documents(config.vocab_size);
      ForEachSimdTarget([&, &name = name] {
        if (TilesInUse() && name == "sequential") return;  // seconds each where tiles are emulated
        const Outcome one = RunPass(*parameters, documents.batch(), 1);
        for (const size_t threads : {size_t{2}, size_t{3}, size_t{4}}) {
          for (const Recompute recompute : {Recompute::kNone, Recompute::kMlp, Recompute::kLayer}) {
            if (threads != 2 && recompute != Recompute::kNone) continue;
            const Outcome other = RunPass(*parameters, documents.batch(), threads, recompute);
            EXPECT_EQ(other.losses, one.losses);
            EXPECT_EQ(std::memcmp(other.gradients.data(), one.gradients.data(), one.gradients.size() * sizeof(float)),
                      0)
                << threads << " threads, recompute " << NameOf(recompute);
          }
        }
      });
    }
  }
}

// Losses are what `score --kv fp32` reports for the same weights, bit for bit.
TEST(GradientPass, LossesHaveTheBitsOfScoring) {
  ThreadPool pool(2);
  for (const Precision precision : {Precision::kF32, Precision::kBF16, Precision::kF16}) {
    for (const auto& [name, config] : Configs()) {
      SCOPED_TRACE(name + " " + std::string(NameOf(precision)));
      const auto parameters = Drawn(config, pool, precision);
      OwnedBatch documents;
      documents.AddText(RandomIds(41, config.vocab_size, 1));
      documents.AddText(RandomIds(3, config.vocab_size, 2));
      documents.AddText(RandomIds(64, config.vocab_size, 3));
      ForEachSimdTarget([&, &name = name] {
        if (TilesInUse() && name != "parallel" && name != "tied") return;
        const Outcome outcome = RunPass(*parameters, documents.batch(), 2);
        std::vector<double> scores;
        const Transformer model(parameters->weights());
        Scorer scorer(model, ShapeOfScore(64, DType::kF32, 2), pool);
        for (const auto& ids : documents.tokens) {
          for (const double logprob : scorer.Score(ids)) scores.push_back(-logprob);
        }
        EXPECT_EQ(outcome.losses, scores);
      });
    }
  }
}

// The gradients of every layer's input.
struct LayerGradients : GradientObserver {
  std::map<int64_t, std::vector<float>> of_layer;
  void OnGradient(int64_t layer, std::string_view module, const float* d, int64_t rows, int64_t width) override {
    if (module == "input_layernorm") of_layer[layer].assign(d, d + rows * width);
  }
};

void ExpectSameBitsAloneAndPacked(Precision precision) {
  ForEachSimdTarget([&] {
    ThreadPool pool(2);
    for (const auto& [name, config] : Configs()) {
      if (name == "tanh" || name == "both" || (precision != Precision::kF32 && name != "parallel")) continue;
      SCOPED_TRACE(name);
      const auto parameters = Drawn(config, pool, precision);
      const OwnedBatch documents = Documents(config.vocab_size);
      const double scale = 1.0 / static_cast<double>(CountTargets(documents.batch()));
      const auto run = [&](TrainBatch batch, bool add) {
        LayerGradients gradients;
        GradientPass pass(*parameters,
                          {.max_tokens = CountTokens(documents.batch()), .precision = precision, .threads = 2}, pool);
        pass.Run({.batch = batch, .scale = scale, .add = add, .gradient_observer = &gradients});
        return gradients;
      };
      const LayerGradients together = run(documents.batch(), false);
      const std::vector<float> sum(parameters->gradients().begin(), parameters->gradients().end());
      size_t begin = 0;
      for (size_t d = 0; d < documents.documents.size(); ++d) {
        const LayerGradients alone = run(documents.batch().subspan(d, 1), d > 0);
        for (const auto& [layer, gradient] : alone.of_layer) {
          EXPECT_EQ(
              std::memcmp(gradient.data(), together.of_layer.at(layer).data() + begin, gradient.size() * sizeof(float)),
              0)
              << "document " << d << ", layer " << layer;
        }
        begin += documents.tokens[d].size() * static_cast<size_t>(config.hidden_size);
      }
      // One after another, added: the same sums in another order.
      for (const Parameter& p : parameters->table().entries()) {
        double largest = 0;
        for (size_t i = 0; i < p.size; ++i)
          largest = std::max(largest, std::abs(static_cast<double>(sum[p.offset + i])));
        for (size_t i = 0; i < p.size; ++i) {
          ASSERT_TRUE(Near(parameters->gradients()[p.offset + i], sum[p.offset + i], 1e-5 * largest)) << p.weight.name;
        }
      }
    }
  });
}

TEST(GradientPass, ADocumentHasTheSameBitsAloneAndPacked) { ExpectSameBitsAloneAndPacked(Precision::kF32); }
TEST(GradientPass, ADocumentHasTheSameBitsAloneAndPackedInBf16) { ExpectSameBitsAloneAndPacked(Precision::kBF16); }
TEST(GradientPass, ADocumentHasTheSameBitsAloneAndPackedInFp16) { ExpectSameBitsAloneAndPacked(Precision::kF16); }

// More loss tokens than one chunk of logits holds.
TEST(GradientPass, ChunksOfLogitsAddUp) {
  ThreadPool pool(2);
  ModelConfig config = OddConfig();
  config.n_layers = 1;
  const auto parameters = Drawn(config, pool);
  OwnedBatch documents;
  for (uint64_t i = 0; i < 6; ++i) documents.AddText(RandomIds(101, config.vocab_size, 50 + i));
  const TrainBatch all = documents.batch();
  ASSERT_GT(CountTargets(all), kLossRows);
  GradientPass pass(*parameters, {.max_tokens = CountTokens(all), .threads = 2}, pool);
  const double scale = 1.0 / static_cast<double>(CountTargets(all));
  pass.Run({.batch = all, .scale = scale});
  const std::vector<float> together(parameters->gradients().begin(), parameters->gradients().end());
  for (size_t d = 0; d < 6; ++d) pass.Run({.batch = all.subspan(d, 1), .scale = scale, .add = d > 0});
  for (const Parameter& p : parameters->table().entries()) {
    double largest = 0;
    for (size_t i = p.offset; i < p.offset + p.size; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(together[i])));
    }
    for (size_t i = p.offset; i < p.offset + p.size; ++i) {
      ASSERT_TRUE(Near(parameters->gradients()[i], together[i], 1e-5 * largest)) << p.weight.name;
    }
  }
}

TEST(GradientPass, WithoutTargetsLossesAndGradientsAreZero) {
  ThreadPool pool(2);
  const auto parameters = Drawn(OddConfig(), pool);
  OwnedBatch documents;
  documents.Add(RandomIds(9, 515, 1), std::vector<int32_t>(9, kNoTarget));
  GradientPass pass(*parameters, {.max_tokens = 9, .threads = 2}, pool);
  std::ranges::fill(parameters->gradients(), 1.0f);
  EXPECT_TRUE(pass.Run({.batch = documents.batch()}).empty());
  for (const float g : parameters->gradients()) ASSERT_EQ(g, 0.0f);
}

// Frozen parameters have weights and nothing else; the others get the gradients that they get when all are trained. The
// lowest layer stops at what is trained there.
TEST(GradientPass, PartsThatAreNotTrainedChangeNothingElse) {
  if (TilesInUse()) SelectSimdTarget("avx3");  // many passes: too slow where tiles are emulated
  ThreadPool pool(2);
  for (const bool parallel : {true, false}) {
    ModelConfig config = OddConfig();
    config.parallel_residual = parallel;
    for (const Precision precision : {Precision::kF32, Precision::kBF16, Precision::kF16}) {
      const auto all = Drawn(config, pool, precision);
      const OwnedBatch documents = Documents(config.vocab_size);
      const Outcome want = RunPass(*all, documents.batch(), 2);
      for (const auto& trained : {std::vector<std::string>{"*.layers.1.attention.*", "*.layers.2.*bias"},
                                  {"*.layers.0.mlp.dense_4h_to_h.weight"},
                                  {"*.layers.1.mlp.dense_h_to_4h.bias", "*.layers.2.attention.dense.weight"},
                                  {"*.layers.1.post_attention_layernorm.*", "*.layers.1.attention.dense.*"},
                                  {"*.layers.2.attention.query_key_value.bias"},
                                  {"*.layers.0.input_layernorm.weight"},
                                  {"*embed_out*"}}) {
        SCOPED_TRACE(trained[0]);
        if (precision != Precision::kF32 && trained.size() == 1) continue;
        const auto some = Drawn(config, pool, precision, trained);
        const Outcome got = RunPass(*some, documents.batch(), 2);
        EXPECT_EQ(got.losses, want.losses);
        EXPECT_LT(got.gradients.size(), want.gradients.size() / 2);
        size_t compared = 0;
        for (size_t e = 0; e < some->table().entries().size(); ++e) {
          if (!some->table().entries()[e].trained) continue;
          EXPECT_EQ(InRows(*some, some->gradients(), e), InRows(*all, all->gradients(), e));
          ++compared;
        }
        EXPECT_GT(compared, 0u);
      }
    }
  }
  SelectSimdTarget("");
}

TEST(GradientPass, GradientsBecomeFinalInTheDeclaredOrder) {
  const ModelConfig config = OddConfig();
  ThreadPool pool(1);
  const auto parameters = Drawn(config, pool);
  const auto order = GradientPass::FinalOrder(parameters->table(), config);
  ASSERT_EQ(order.size(), 5u);
  // Looks at the gradients after each layer: those of the ranges so far have their final bits.
  struct Watch : GradientObserver {
    const float* gradients = nullptr;
    size_t size = 0;
    std::vector<std::vector<float>> after;
    void OnGradient(int64_t, std::string_view module, const float*, int64_t, int64_t) override {
      if (module == "input_layernorm") after.emplace_back(gradients, gradients + size);
    }
  };
  const OwnedBatch documents = Documents(config.vocab_size);
  Watch watch;
  watch.gradients = parameters->gradients().data();
  watch.size = parameters->gradients().size();
  const Outcome outcome = RunPass(*parameters, documents.batch(), 1, Recompute::kNone, &watch);
  ASSERT_EQ(watch.after.size(), 3u);
  for (size_t layer = 0; layer < 3; ++layer) {
    for (size_t range = 0; range < layer + 2; ++range) {
      EXPECT_EQ(
          std::memcmp(watch.after[layer].data() + order[range].begin, outcome.gradients.data() + order[range].begin,
                      (order[range].end - order[range].begin) * sizeof(float)),
          0)
          << "range " << range << " after layer " << 2 - layer;
    }
  }
  size_t covered = 0;
  for (const auto& range : order) covered += range.end - range.begin;
  EXPECT_LE(parameters->table().trained_size() - covered, order.size() * kParameterAlignment);
}

}  // namespace
}  // namespace stablelm
