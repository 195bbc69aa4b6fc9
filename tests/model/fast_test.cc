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

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST(FastModel, IsAsFarFromExactAsRoundingTellsAndNoFarther) {
  double most = 0;
  for (const auto& folder : GoldenFolders()) {
    const std::vector<int32_t> ids = TokensOf(folder);
    const std::vector<float> exact = LogitsInChunks(LoadModel(folder), ids, 64, 2);
    const std::vector<float> fast = LogitsInChunks(LoadFast(folder), ids, 64, 2);
    ASSERT_EQ(exact.size(), fast.size());
    double worst = 0, largest = 0, squares = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double error = std::abs(static_cast<double>(fast[i]) - static_cast<double>(exact[i]));
      ASSERT_TRUE(error < 1) << folder;  // fails for NaN
      worst = std::max(worst, error);
      largest = std::max(largest, std::abs(static_cast<double>(exact[i])));
      squares += error * error;
    }
    const std::string numbers = "largest error " + std::to_string(worst) + ", rms " +
                                std::to_string(std::sqrt(squares / static_cast<double>(exact.size()))) +
                                ", largest logit " + std::to_string(largest);
    RecordProperty(folder.filename().string(), numbers);
    // Every product rounds both operands by at most 2^-8; the errors of a few layers add up like random errors.
    EXPECT_LT(worst, 0.02 * largest) << folder << " " << numbers;
    EXPECT_GT(worst, 0) << folder;
    most = std::max(most, worst);
  }
  EXPECT_GT(most, 1e-3);
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
