// Whole models with --compute fast: error against exact arithmetic, and reproducible bits.
#include <cmath>

#include "model/memory_plan.h"
#include "model/model_testing.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

Transformer LoadFast(const std::filesystem::path& folder, std::optional<DType> dtype = std::nullopt) {
  return Transformer(LoadWeights(ModelFolder::Open(folder.string()), {.dtype = dtype, .compute = Compute::kFast}));
}

std::vector<int32_t> TokensOf(const std::filesystem::path& folder) {
  std::vector<int32_t> ids = Ids(SafetensorsFile(folder / "expected.safetensors"), "tokens");
  ids.resize(std::min<size_t>(ids.size(), 300));
  return ids;
}

double RootMeanSquare(double squares, size_t n) { return std::sqrt(squares / static_cast<double>(n)); }

// A product rounds both operands to bfloat16. That moves a value by at most 2^-8 of it, with a root mean square below
// u = 2^-9. The roundings are as good as independent, so they move results by sqrt(2) u of their root mean square. A
// logit depends on 4 products of each of L layers and one more: sqrt(2 (4 L + 1)) u; norms keep relative errors, GELU
// nearly. The largest of n such errors, which are normal numbers, is about sqrt(2 ln n) times their root mean square.
// Measured: 0.4 to 0.6 of either bound.
TEST(FastModel, IsAsFarFromExactAsRoundingTellsAndNoFarther) {
  constexpr double kU = 0x1p-9;
  for (const auto& folder : GoldenFolders()) {
    const std::vector<int32_t> ids = TokensOf(folder);
    const Transformer model = LoadModel(folder);
    const std::vector<float> exact = LogitsInChunks(model, ids, 64, 2);
    const std::vector<float> fast = LogitsInChunks(LoadFast(folder), ids, 64, 2);
    ASSERT_EQ(exact.size(), fast.size());
    double squares = 0, errors = 0, worst = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double error = std::abs(static_cast<double>(fast[i]) - static_cast<double>(exact[i]));
      ASSERT_TRUE(std::isfinite(error)) << folder;
      worst = std::max(worst, error);
      errors += error * error;
      squares += static_cast<double>(exact[i]) * static_cast<double>(exact[i]);
    }
    const double products = static_cast<double>(4 * model.config().n_layers + 1);
    const double bound = std::sqrt(2 * products) * kU * RootMeanSquare(squares, exact.size());
    const double largest = bound * std::sqrt(2 * std::log(static_cast<double>(exact.size())));
    const double error = RootMeanSquare(errors, exact.size());
    RecordProperty(folder.filename().string(), "of the bounds: root mean square " + std::to_string(error / bound) +
                                                   ", largest " + std::to_string(worst / largest));
    EXPECT_TRUE(error <= bound) << folder << " " << error << " > " << bound;
    EXPECT_TRUE(worst <= largest) << folder << " " << worst << " > " << largest;
    EXPECT_TRUE(error >= bound / 8) << folder << " " << error << ": was anything rounded?";
  }
}

TEST(FastModel, HasTheSameBitsInAnyChunksAndWithAnyThreads) {
  for (const auto& folder : GoldenFolders()) {
    const Transformer model = LoadFast(folder);
    std::vector<int32_t> ids = TokensOf(folder);
    ids.resize(std::min<size_t>(ids.size(), 40));
    for (const std::string& target : UsableSimdTargets()) {
      SelectSimdTarget(target);
      const std::vector<float> whole = LogitsInChunks(model, ids, 64, 1);
      for (const int64_t chunk : {1, 3, 5, 16}) {
        ASSERT_TRUE(SameBits(LogitsInChunks(model, ids, chunk, static_cast<size_t>(1 + chunk % 3)), whole))
            << folder << " " << target << " chunk " << chunk;
      }
    }
  }
  SelectSimdTarget("");
}

// The multiply instruction affects only speed.
TEST(FastModel, HasTheSameBitsWithAndWithoutTheBf16Instruction) {
  const std::vector<std::string> targets = UsableSimdTargets();
  if (std::ranges::find(targets, "avx3_bf16") == targets.end()) GTEST_SKIP() << "this machine has no AVX-512 BF16";
  for (const auto& folder : GoldenFolders()) {
    const Transformer model = LoadFast(folder);
    const std::vector<int32_t> ids = TokensOf(folder);
    std::vector<float> want;
    for (const char* target : {"avx3_bf16", "avx3_vnni", "avx3"}) {
      SelectSimdTarget(target);
      const std::vector<float> got = LogitsInChunks(model, ids, 64, 2);
      if (want.empty()) want = got;
      EXPECT_TRUE(SameBits(got, want)) << folder << " " << target;
    }
  }
  SelectSimdTarget("");
}

TEST(FastModel, TakesTwoBytesForEveryWeightAndPlansThem) {
  for (const auto& folder : GoldenFolders()) {
    const auto bytes = LoadFast(folder).weights().MatrixBytes();
    const auto as_bf16 = LoadModel(folder, DType::kBF16).weights().MatrixBytes();
    ASSERT_EQ(bytes.size(), 1u) << folder;
    ASSERT_TRUE(bytes.contains(DType::kBF16)) << folder;
    // An odd number of columns is padded.
    EXPECT_GE(bytes.at(DType::kBF16), as_bf16.at(DType::kBF16)) << folder;
    EXPECT_LE(bytes.at(DType::kBF16), as_bf16.at(DType::kBF16) * 33 / 32) << folder;
  }
  const ModelConfig config = *ModelConfig::FromShapeName("3b");
  const WeightBytes fast = PlanWeights(config, DType::kF32, {.compute = Compute::kFast});
  const WeightBytes bf16 = PlanWeights(config, DType::kBF16, {});
  EXPECT_EQ(fast.allocated, bf16.allocated);
  EXPECT_EQ(fast.mapped, 2 * bf16.mapped);  // the embedding stays as stored
}

// Fast rounds the weights of --dtype once more.
TEST(FastModel, RoundsWhatDtypeLeaves) {
  for (const auto& folder : GoldenFolders()) {
    const std::vector<int32_t> ids = {5, 17, 3, 44, 7};
    const auto logits = [&](std::optional<DType> dtype) { return LogitsInChunks(LoadFast(folder, dtype), ids, 8, 1); };
    const DType stored = *ModelFolder::Open(folder.string())->TensorOf(0).dtype;
    EXPECT_TRUE(SameBits(logits(stored), logits(std::nullopt))) << folder;
    EXPECT_TRUE(SameBits(logits(DType::kF32), logits(std::nullopt))) << folder;
  }
}

}  // namespace
}  // namespace stablelm
