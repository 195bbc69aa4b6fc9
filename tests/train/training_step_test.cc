// Whole optimizer steps: micro-batches, clipping, 16-bit weights, overflow, and that a model learns.
#include "train/training_step.h"

#include "error_info.h"
#include "ops/convert.h"
#include "ops/gradient_norm.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

ModelConfig TinyConfig() {
  ModelConfig c;
  c.vocab_size = 61;
  c.hidden_size = 32;
  c.n_layers = 2;
  c.n_heads = 2;
  c.intermediate_size = 96;
  c.max_positions = 64;
  c.rotary_dims = 4;
  return c;
}

OwnedBatch Dialogues() {
  OwnedBatch batch;
  for (uint64_t i = 0; i < 4; ++i) batch.AddText(RandomIds(10 + 3 * i, 61, 40 + i));
  return batch;
}

constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kBF16, Precision::kF16};

std::vector<float> Copy(std::span<const float> values) { return {values.begin(), values.end()}; }

TEST(TrainingStep, LearnsFourDialoguesInEveryPrecision) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  for (const Precision precision : kPrecisions) {
    SCOPED_TRACE(NameOf(precision));
    const auto parameters = RandomParameters(TinyConfig(), pool, 1, precision);
    TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .precision = precision, .threads = 2}, {}, {},
                      pool);
    const StepResult first = step.Run({&batch, 1}, 1e-2);
    EXPECT_NEAR(first.loss, std::log(61.0), 0.3);
    StepResult last;
    for (int i = 0; i < 120; ++i) last = step.Run({&batch, 1}, 1e-2);
    EXPECT_LT(last.loss, 0.05);
    EXPECT_EQ(step.updates(), 121);
  }
}

// The rounding of a row does not depend on the rows beside it, so that only the order of fp32 sums differs.
TEST(TrainingStep, MicroBatchesEqualOneBatchInEveryPrecision) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch all = dialogues.batch();
  const std::vector<TrainBatch> parts = {all.subspan(0, 1), all.subspan(1, 2), all.subspan(3, 1)};
  for (const Precision precision : kPrecisions) {
    SCOPED_TRACE(NameOf(precision));
    const auto run = [&](std::span<const TrainBatch> micro_batches, Parameters& parameters) {
      TrainingStep step(parameters, {.max_tokens = CountTokens(all), .precision = precision, .threads = 2}, {}, {},
                        pool);
      return step.Run(micro_batches, 1e-3);
    };
    const auto one = RandomParameters(TinyConfig(), pool, 1, precision);
    const auto many = RandomParameters(TinyConfig(), pool, 1, precision);
    const StepResult whole = run({&all, 1}, *one), split = run(parts, *many);
    EXPECT_NEAR(split.loss, whole.loss, 1e-6 * whole.loss);
    EXPECT_NEAR(split.gradient_norm, whole.gradient_norm, 1e-5 * whole.gradient_norm);
    for (const Parameter& p : one->table().entries()) {
      double largest = 0;
      for (size_t i = p.offset; i < p.offset + p.size; ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(one->gradients()[i])));
      }
      for (size_t i = p.offset; i < p.offset + p.size; ++i) {
        ASSERT_NEAR(many->gradients()[i], one->gradients()[i], 1e-5 * largest) << p.weight.name;
      }
    }
  }
}

// Every parameter is used rounded: matrices, embedding and vectors.
TEST(TrainingStep, SixteenBitWeightsAreTheRoundedMasters) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  for (const bool tied : {false, true}) {
    for (const Precision precision : {Precision::kBF16, Precision::kF16}) {
      SCOPED_TRACE(NameOf(precision));
      ModelConfig config = TinyConfig();
      config.hidden_size = 30, config.intermediate_size = 75;  // an odd number of columns
      config.tie_word_embeddings = tied;
      const auto parameters = RandomParameters(config, pool, 1, precision);
      TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .precision = precision, .threads = 2}, {}, {},
                        pool);
      for (int i = 0; i < 3; ++i) {
        const std::vector<float> before = Copy(parameters->masters());
        step.Run({&batch, 1}, 1e-2);
        EXPECT_NE(Copy(parameters->masters()), before);
        for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
          const WeightEntry& entry = parameters->table().entries()[e].weight;
          const std::vector<float> masters = InRows(*parameters, parameters->masters(), e);
          std::vector<std::byte> rounded(masters.size() * 2);
          std::vector<float> want(masters.size()), got(masters.size());
          ConvertFromFloat(masters.data(), masters.size(), WeightType(precision), rounded.data());
          ConvertToFloat(WeightType(precision), rounded.data(), masters.size(), want.data());
          const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1, columns = entry.shape[entry.IsMatrix() ? 1 : 0];
          for (int64_t r = 0; r < rows; ++r) parameters->weights()->ReadRow(entry, r, got.data() + r * columns);
          EXPECT_EQ(got, want) << entry.name;
        }
      }
    }
  }
}

TEST(TrainingStep, PaddingStaysZero) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  ModelConfig config = TinyConfig();
  config.hidden_size = 30, config.intermediate_size = 75;
  const auto parameters = RandomParameters(config, pool);
  TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .threads = 2}, {}, {}, pool);
  for (int i = 0; i < 3; ++i) step.Run({&batch, 1}, 1e-2);
  std::vector<bool> used(parameters->table().trained_size());
  for (const Parameter& p : parameters->table().entries()) {
    const bool matrix = p.weight.IsMatrix();
    const size_t columns = static_cast<size_t>(p.weight.shape[matrix ? 1 : 0]);
    for (size_t i = 0; i < static_cast<size_t>(p.weight.shape.NumElements()); ++i) {
      const size_t r = i / columns, k = i % columns;
      used[p.offset + (p.packed ? (r / kPanelRows * columns + k) * kPanelRows + r % kPanelRows : i)] = true;
    }
  }
  size_t padding = 0;
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    ++padding;
    ASSERT_EQ(parameters->masters()[i], 0.0f);
    ASSERT_EQ(parameters->gradients()[i], 0.0f);
    ASSERT_EQ(parameters->second_moments()[i], 0.0f);
  }
  EXPECT_GT(padding, 1000u);
}

// An overflow changes the scale alone; the step says where it began.
TEST(TrainingStep, OverflowSkipsTheUpdate) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  const auto parameters = RandomParameters(TinyConfig(), pool, 1, Precision::kF16);
  TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .precision = Precision::kF16, .threads = 2}, {},
                    {.initial = 0x1p24, .hysteresis = 2}, pool);
  const std::vector<float> before = Copy(parameters->masters());
  const StepResult first = step.Run({&batch, 1}, 1e-2), second = step.Run({&batch, 1}, 1e-2);
  EXPECT_TRUE(first.skipped && second.skipped);
  EXPECT_THAT(first.overflow, testing::HasSubstr("backward pass, document 0"));
  EXPECT_FALSE(std::isfinite(first.gradient_norm));
  EXPECT_TRUE(std::isfinite(first.loss));
  EXPECT_EQ(second.loss_scale, 0x1p24);
  EXPECT_EQ(step.loss_scale().scale(), 0x1p23);
  EXPECT_EQ(step.updates(), 0);
  EXPECT_EQ(Copy(parameters->masters()), before);
  for (const float m : parameters->first_moments()) ASSERT_EQ(m, 0.0f);
  StepResult result;
  for (int i = 0; i < 30 && step.updates() == 0; ++i) result = step.Run({&batch, 1}, 1e-2);
  EXPECT_FALSE(result.skipped);
  EXPECT_TRUE(result.overflow.empty());
  EXPECT_NE(Copy(parameters->masters()), before);
}

TEST(TrainingStep, AValueThatIsNotFiniteIsNamed) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const auto parameters = RandomParameters(TinyConfig(), pool, 1, precision);
    for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
      if (parameters->table().entries()[e].weight.name != "gpt_neox.layers.1.mlp.dense_h_to_4h.bias") continue;
      parameters->SetRows(e, 0, std::vector<float>(96, 3e38f));
    }
    parameters->RoundWeights(0, parameters->table().trained_size());
    const std::vector<float> before = Copy(parameters->masters());
    TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .precision = precision, .threads = 2}, {}, {},
                      pool);
    const ErrorInfo info = InfoOf([&] { step.Run({&batch, 1}, 1e-3); });
    EXPECT_THAT(info,
                Names("training step 1", testing::HasSubstr("layer 1, mlp.dense_4h_to_h, forward pass, document 0")));
    EXPECT_EQ(Copy(parameters->masters()), before);
    EXPECT_THROW(step.Run({&batch, 1}, 1e-3), NonFiniteStep);
  }
}

TEST(TrainingStep, AsksBeforeTheUpdate) {
  ThreadPool pool(2);
  const OwnedBatch dialogues = Dialogues();
  const TrainBatch batch = dialogues.batch();
  const auto parameters = RandomParameters(TinyConfig(), pool);
  TrainingStep step(*parameters, {.max_tokens = CountTokens(batch), .threads = 2}, {}, {}, pool);
  const std::vector<float> before = Copy(parameters->masters());
  StepResult asked;
  using Decision = std::optional<double>;
  const StepResult refused = step.Run({&batch, 1}, 1e-3, {}, nullptr, [&](const StepResult& result) -> Decision {
    asked = result;
    return std::nullopt;
  });
  EXPECT_TRUE(refused.skipped);
  EXPECT_TRUE(refused.overflow.empty());
  EXPECT_GT(asked.gradient_norm, 0);
  EXPECT_EQ(asked.loss, refused.loss);
  EXPECT_EQ(step.updates(), 0);
  EXPECT_EQ(Copy(parameters->masters()), before);
  const StepResult allowed = step.Run({&batch, 1}, 1e-3, {}, nullptr, [&](const StepResult&) -> Decision {
    EXPECT_EQ(Copy(parameters->masters()), before);
    return 3e-3;
  });
  EXPECT_FALSE(allowed.skipped);
  EXPECT_EQ(allowed.loss, refused.loss);
  // The rate that was decided, in place of the one that was given.
  const auto other = RandomParameters(TinyConfig(), pool);
  TrainingStep(*other, {.max_tokens = CountTokens(batch), .threads = 2}, {}, {}, pool).Run({&batch, 1}, 3e-3);
  EXPECT_EQ(Copy(parameters->masters()), Copy(other->masters()));
}

TEST(TrainingStep, BadBatchesAreRefusedBeforeAnythingChanges) {
  ThreadPool pool(1);
  const auto parameters = RandomParameters(TinyConfig(), pool);
  TrainingStep step(*parameters, {.max_tokens = 20, .max_documents = 2}, {}, {}, pool);
  const auto refused = [&](const OwnedBatch& documents, const std::string& where, const std::string& found) {
    const TrainBatch batch = documents.batch();
    EXPECT_THAT(InfoOf([&] { step.Run({&batch, 1}, 1e-3); }), Names(where, found));
  };
  OwnedBatch token, target, longest, many, full, empty;
  token.Add({1, 61}, {1, kNoTarget});
  refused(token, "document 0, token 1", "61");
  target.Add({1, 2}, {61, kNoTarget});
  refused(target, "document 0, target 0", "61");
  full.AddText(RandomIds(21, 61, 1));
  refused(full, "training batch", "21");
  for (int i = 0; i < 3; ++i) many.AddText({1, 2});
  refused(many, "training batch", "3");
  refused(empty, "training batch", "0");
  empty.Add({}, {});
  empty.AddText({1, 2});
  refused(empty, "document 0", "0");
  // All batches of a step are looked at before the first pass: the gradients are still those of no pass.
  OwnedBatch good;
  good.AddText({1, 2, 3});
  const TrainBatch both[] = {good.batch(), token.batch()};
  std::ranges::fill(parameters->gradients(), 7.0f);
  EXPECT_THAT(InfoOf([&] { step.Run(both, 1e-3); }), Names("micro-batch 1, document 0, token 1", "61"));
  EXPECT_THAT(parameters->gradients(), testing::Each(7.0f));
  EXPECT_EQ(step.updates(), 0);
}

TEST(TrainingStep, AShapeThatIsTooWideIsRefused) {
  ThreadPool pool(1);
  ModelConfig config = TinyConfig();
  config.intermediate_size = 50000;
  const auto parameters = RandomParameters(config, pool);
  EXPECT_THAT(InfoOf([&] { TrainingStep(*parameters, {.max_tokens = 4}, {}, {}, pool); }),
              Names("config.json: intermediate_size", "50000"));
}

TEST(Optimizer, PartsInAnyOrderGiveTheSameBits) {
  ThreadPool pool(3);
  ModelConfig config = TinyConfig();
  config.vocab_size = 5000;  // several chunks
  for (const Precision precision : kPrecisions) {
    const auto one = RandomParameters(config, pool, 1, precision), other = RandomParameters(config, pool, 1, precision);
    for (Parameters* parameters : {one.get(), other.get()}) {
      const Philox philox(5);
      for (size_t i = 0; i < parameters->gradients().size(); ++i) {
        parameters->gradients()[i] = static_cast<float>(philox.Uniform(0, i) - 0.5);
      }
    }
    ExecutionContext exec(pool, 1);
    Optimizer whole(*one, {}), parts(*other, {});
    const size_t n = one->table().trained_size();
    ASSERT_GT(n, 3 * kNormChunk);
    for (int64_t t = 1; t <= 2; ++t) {
      const Optimizer::Update update = {.rate = 1e-2, .gradient_scale = 0.5, .t = t};
      whole.Apply(update, 0, n, exec);
      parts.Apply(update, 2 * kNormChunk, n, exec);
      parts.Apply(update, kNormChunk, 2 * kNormChunk, exec);
      parts.Apply(update, 0, kNormChunk, exec);
    }
    EXPECT_EQ(Copy(one->masters()), Copy(other->masters()));
    EXPECT_EQ(Copy(one->second_moments()), Copy(other->second_moments()));
    std::vector<float> a(32), b(32);
    for (int64_t row = 0; row < 5000; row += 7) {
      const WeightEntry& embedding = one->table().entries()[0].weight;
      one->weights()->ReadRow(embedding, row, a.data());
      other->weights()->ReadRow(embedding, row, b.data());
      ASSERT_EQ(a, b);
    }
  }
}

TEST(Optimizer, ClipsAtTheNorm) {
  EXPECT_EQ(ClipFactor(0.5, 1.0), 1.0);
  EXPECT_EQ(ClipFactor(10, 0), 1.0);
  EXPECT_DOUBLE_EQ(ClipFactor(4.0, 2.0), 1 / ((4.0 + 1e-6) / 2.0));
}

}  // namespace
}  // namespace stablelm
