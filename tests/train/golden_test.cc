// Compares training with PyTorch's on the golden folders: the gradients of the first step, and losses, norms and
// weights of a run.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "model/model_testing.h"
#include "ops/simd.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// Every folder of STABLELM_GOLDEN (default: the project's copy, and other shapes by scripts/make_training_golden.py)
// that has start/ and batches.safetensors.
std::vector<fs::path> TrainingFolders() {
  const char* set = std::getenv("STABLELM_GOLDEN");
  std::vector<std::string> roots = {TestData("golden"), TestData("training")};
  if (set) roots = {set};
  std::vector<fs::path> folders;
  for (const std::string& root : roots) {
    for (const auto& entry : fs::directory_iterator(root)) {
      if (fs::exists(entry.path() / "start") && fs::exists(entry.path() / "batches.safetensors")) {
        folders.push_back(entry.path());
      }
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<double> Numbers(const nlohmann::json& values) {
  std::vector<double> numbers;
  for (const auto& value : values) numbers.push_back(value.get<double>());
  return numbers;
}

double Largest(std::span<const float> values) {
  double largest = 0;
  for (const float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return largest;
}

// Largest |got - want|; NaN counts as infinite. `skip`: elements that are not compared.
double WorstError(std::span<const float> got, std::span<const float> want, const std::vector<bool>& skip) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!skip.empty() && skip[i]) continue;
    const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

// Key biases of dimensions that are not rotated have a gradient of zero by mathematics, because softmax ignores a
// shift: what is left is rounding noise, which Adam turns into steps of the size of the rate.
std::vector<bool> ZeroByMathematics(const ModelConfig& config, const WeightEntry& entry) {
  if (entry.kind != WeightKind::kQkvBias) return {};
  std::vector<bool> zero(static_cast<size_t>(3 * config.hidden_size));
  for (int64_t head = 0; head < config.n_heads; ++head) {
    for (int64_t i = config.rotary_dims; i < config.head_dim(); ++i) {
      zero[static_cast<size_t>((head * 3 + 1) * config.head_dim() + i)] = true;
    }
  }
  return zero;
}

class TrainingGolden : public testing::TestWithParam<fs::path> {};
INSTANTIATE_TEST_SUITE_P(Folders, TrainingGolden, testing::ValuesIn(TrainingFolders()),
                         [](const testing::TestParamInfo<fs::path>& folder) {
                           std::string name = folder.param.filename().string();
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(TrainingGoldenFolders, AreThere) { EXPECT_FALSE(TrainingFolders().empty()); }

// An independent fp32 implementation is within 7e-7 of the gradients, 1e-7 of losses and norms, and 1.2e-6 of the final
// weights. The bounds are four times that or more, and far below what a wrong factor or a lost term gives.
TEST_P(TrainingGolden, GradientsLossesAndWeightsOnEveryTarget) {
  const nlohmann::json expected = nlohmann::json::parse(ReadTextFile(GetParam() / "expected.json", 1 << 20));
  const std::vector<OwnedBatch> steps = ReadBatches(GetParam());
  const std::vector<double> rates = Numbers(expected.at("lr")), losses = Numbers(expected.at("loss"));
  const std::vector<double> norms = Numbers(expected.at("grad_norm_before_clip"));
  const SafetensorsFile gradients(GetParam() / "grads_step0.safetensors"), after(GetParam() / "after12.safetensors");
  const OptimizerOptions options = {.beta1 = expected.at("betas").at(0).get<double>(),
                                    .beta2 = expected.at("betas").at(1).get<double>(),
                                    .epsilon = expected.at("eps").get<double>(),
                                    .weight_decay = expected.at("weight_decay").get<double>(),
                                    .clip = expected.at("clip_grad_norm").get<double>()};
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE(target);
    SelectSimdTarget(target);
    ThreadPool pool(2);
    const auto parameters = LoadFolder(GetParam() / "start", pool);
    const ModelConfig& config = parameters->config();
    const int64_t tokens = CountTokens(steps[0].batch());
    TrainingStep step(*parameters, {.max_tokens = tokens, .threads = 2}, options, {}, pool);
    for (size_t i = 0; i < steps.size(); ++i) {
      const TrainBatch batch = steps[i].batch();
      const StepResult result = step.Run({&batch, 1}, rates[i]);
      EXPECT_NEAR(result.loss, losses[i], 1e-6 * losses[i]) << "step " << i;
      EXPECT_NEAR(result.gradient_norm, norms[i], 1e-6 * norms[i]) << "step " << i;
      if (i > 0) continue;
      for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
        const WeightEntry& entry = parameters->table().entries()[e].weight;
        const std::vector<float> got = InRows(*parameters, parameters->gradients(), e);
        const std::vector<float> want = Floats(gradients, entry.name);
        ASSERT_EQ(got.size(), want.size()) << entry.name;
        EXPECT_LE(WorstError(got, want, {}), 3e-6 * Largest(want)) << entry.name;
        const std::vector<bool> zero = ZeroByMathematics(config, entry);
        for (size_t k = 0; k < zero.size(); ++k) {
          if (!zero[k]) continue;
          EXPECT_LE(std::abs(got[k]), 1e-6 * Largest(want)) << entry.name << " " << k;
        }
      }
    }
    for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
      const WeightEntry& entry = parameters->table().entries()[e].weight;
      const std::vector<float> got = InRows(*parameters, parameters->masters(), e), want = Floats(after, entry.name);
      ASSERT_EQ(got.size(), want.size()) << entry.name;
      EXPECT_LE(WorstError(got, want, ZeroByMathematics(config, entry)), 5e-6) << entry.name;
    }
  }
  SelectSimdTarget("");
}

}  // namespace
}  // namespace stablelm
