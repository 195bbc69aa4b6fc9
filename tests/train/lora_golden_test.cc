// Compares the training of LoRA adapters with PEFT's on the golden folders: the gradients of the first step, the losses
// of a run, and the adapters that come of it.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "ops/convert.h"
#include "ops/simd.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// Every folder of STABLELM_GOLDEN (default: the project's copy) that has base/ and adapter_start/.
std::vector<fs::path> LoraFolders() {
  const char* set = std::getenv("STABLELM_GOLDEN");
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(set ? std::string(set) : TestData("golden"))) {
    if (fs::exists(entry.path() / "base") && fs::exists(entry.path() / "adapter_start")) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

LoraOptions ReadOptions(const fs::path& adapter) {
  const auto config = nlohmann::json::parse(ReadTextFile(adapter / "adapter_config.json", 1 << 20));
  LoraOptions lora = {.rank = config.at("r"), .alpha = config.at("lora_alpha"), .rslora = config.at("use_rslora")};
  lora.targets.clear();
  for (const auto& [kind, name] : kLoraTargets) {
    const auto& names = config.at("target_modules");
    if (std::find(names.begin(), names.end(), name) != names.end()) lora.targets.push_back(kind);
  }
  return lora;
}

// PEFT's name of an adapter's tensor; in a state dictionary in memory, "default" is the adapter's name.
std::string PeftName(const Parameter& p, const std::string& adapter = "") {
  const std::string suffix = "weight", name = "base_model.model." + p.weight.name;
  return name.substr(0, name.size() - suffix.size()) + adapter + suffix;
}

// fp64 or fp32.
std::vector<float> Values(const SafetensorsFile& file, const std::string& name) {
  const TensorView view = file.Get(name);
  std::vector<float> values(static_cast<size_t>(view.shape.NumElements()));
  ConvertToFloat(view.dtype, view.data, values.size(), values.data());
  return values;
}

// tokens [steps, sequences, T]: each token predicts the next.
std::vector<OwnedBatch> ReadSteps(const fs::path& folder) {
  const SafetensorsFile file(folder / "expected.safetensors");
  const TensorView tokens = file.Get("tokens");
  const size_t length = static_cast<size_t>(tokens.shape[2]);
  std::vector<OwnedBatch> steps(static_cast<size_t>(tokens.shape[0]));
  const std::byte* at = tokens.data;
  for (OwnedBatch& step : steps) {
    for (int64_t row = 0; row < tokens.shape[1]; ++row, at += length * sizeof(int32_t)) {
      std::vector<int32_t> ids(length);
      std::memcpy(ids.data(), at, length * sizeof(int32_t));
      step.AddText(std::move(ids));
    }
  }
  return steps;
}

struct Difference {
  double worst = 0, rms = 0, largest = 0;  // of the errors; of the expected values
};
Difference Compare(std::span<const float> got, std::span<const float> want) {
  Difference difference;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    difference.worst = std::isnan(error) ? INFINITY : std::max(difference.worst, error);
    difference.rms += error * error;
    difference.largest = std::max(difference.largest, std::abs(static_cast<double>(want[i])));
  }
  difference.rms = std::sqrt(difference.rms / static_cast<double>(want.size()));
  return difference;
}

class LoraGolden : public testing::TestWithParam<fs::path> {};
INSTANTIATE_TEST_SUITE_P(Folders, LoraGolden, testing::ValuesIn(LoraFolders()),
                         [](const testing::TestParamInfo<fs::path>& folder) {
                           std::string name = folder.param.filename().string();
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LoraGolden);

TEST(LoraGoldenFolders, AreThere) {
  if (std::getenv("STABLELM_GOLDEN")) GTEST_SKIP() << "another folder of goldens";
  EXPECT_FALSE(LoraFolders().empty());
}

// PyTorch's own fp32 is within 2.3e-5 of the adapters, which come from fp64: Adam's first steps have the size of the
// rate whatever that of the gradient, so a few elements whose gradient is near zero go astray.
TEST_P(LoraGolden, GradientsLossesAndAdaptersOnEveryTarget) {
  const auto expected = nlohmann::json::parse(ReadTextFile(GetParam() / "expected.json", 1 << 20));
  const LoraOptions lora = ReadOptions(GetParam() / "adapter_start");
  const std::vector<OwnedBatch> steps = ReadSteps(GetParam());
  const SafetensorsFile start(GetParam() / "adapter_start" / "adapter_model.safetensors");
  const SafetensorsFile after(GetParam() / "adapter_after8" / "adapter_model.safetensors");
  const SafetensorsFile gradients(GetParam() / "grads_step0.safetensors");
  const OptimizerOptions options = {.beta1 = expected.at("betas").at(0).get<double>(),
                                    .beta2 = expected.at("betas").at(1).get<double>(),
                                    .epsilon = expected.at("eps").get<double>(),
                                    .weight_decay = expected.at("weight_decay").get<double>(),
                                    .clip = expected.at("clip").is_null() ? 0 : expected.at("clip").get<double>()};
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE(target);
    SelectSimdTarget(target);
    ThreadPool pool(2);
    const auto parameters = LoadAdapted(GetParam() / "base", lora, pool);
    const std::vector<Parameter>& entries = parameters->table().entries();
    const auto for_adapters = [&](auto&& body) {
      for (size_t e = 0; e < entries.size(); ++e) {
        if (entries[e].part != AdapterPart::kNone) body(e, entries[e]);
      }
    };
    for_adapters([&](size_t e, const Parameter& p) { parameters->SetRows(e, 0, Values(start, PeftName(p))); });
    TrainingStep step(*parameters, ShapeOf(*parameters, steps[0].batch(), 2), options, {}, pool);
    ASSERT_EQ(steps.size(), expected.at("loss").size());
    for (size_t i = 0; i < steps.size(); ++i) {
      const TrainBatch batch = steps[i].batch();
      const double loss = step.Run({&batch, 1}, expected.at("lr").get<double>()).loss;
      EXPECT_NEAR(loss, expected.at("loss").at(i).get<double>(), 1e-6 * loss) << "step " << i;
      if (i > 0) continue;
      for_adapters([&](size_t e, const Parameter& p) {
        const Difference d =
            Compare(InRows(*parameters, parameters->gradients(), e), Values(gradients, PeftName(p, "default.")));
        EXPECT_LE(d.worst, 3e-6 * d.largest) << p.weight.name;
      });
    }
    std::vector<float> all, wanted;
    for_adapters([&](size_t e, const Parameter& p) {
      const std::vector<float> got = InRows(*parameters, parameters->masters(), e), want = Values(after, PeftName(p));
      ASSERT_EQ(got.size(), want.size());
      all.insert(all.end(), got.begin(), got.end());
      wanted.insert(wanted.end(), want.begin(), want.end());
    });
    const Difference d = Compare(all, wanted);
    EXPECT_LE(d.worst, 1e-4);
    EXPECT_LE(d.rms, 1e-6);
    RecordProperty(target + "_worst", std::to_string(d.worst));
  }
  SelectSimdTarget("");
}

}  // namespace
}  // namespace stablelm
