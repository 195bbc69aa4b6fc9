// The gradients of bf16 and fp16 training beside those of PyTorch's bf16 autocast.
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "model/model_testing.h"
#include "ops/simd.h"
#include "train/gradient_pass.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

// |got - want| / |want|, in L2.
double RelativeError(std::span<const float> got, double scale, std::span<const float> want) {
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double w = static_cast<double>(want[i]);
    error += std::pow(static_cast<double>(got[i]) / scale - w, 2);
    size += w * w;
  }
  return std::sqrt(error / size);
}

// The model's weights are used as bf16 numbers; autocast's errors against float64 on the same numbers were measured by
// scripts/make_autocast_errors.py. Ours may be half as large again: the roundings are independent, and the tensors
// small.
TEST(HalfPrecision, GradientsAreAsExactAsThoseOfAutocastOnEveryTarget) {
  const std::filesystem::path golden = TestData("golden/training"), autocast = TestData("training/autocast");
  const auto errors = nlohmann::json::parse(ReadTextFile(autocast / "errors.json", 1 << 20)).at("errors");
  const SafetensorsFile gradients(autocast / "gradients.safetensors");
  const OwnedBatch documents = std::move(ReadBatches(golden)[0]);
  const TrainBatch batch = documents.batch();
  constexpr double kLossScale = 4096;
  for (const std::string& target : UsableSimdTargets()) {
    SelectSimdTarget(target);
    ThreadPool pool(2);
    std::map<std::string, double> bf16_errors;
    for (const Precision precision : {Precision::kBF16, Precision::kF16}) {
      SCOPED_TRACE(target + " " + std::string(NameOf(precision)));
      auto parameters = LoadFolder(golden / "start", pool, Precision::kBF16);
      if (precision == Precision::kF16) {  // the same bf16 numbers, which fp16 holds but for the smallest
        auto fp16 = std::make_unique<Parameters>(parameters->config(), ParameterTable(parameters->config()), precision,
                                                 QkvOrder::kPerHead);
        for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
          const WeightEntry& entry = parameters->table().entries()[e].weight;
          const int64_t rows = entry.IsMatrix() ? entry.shape[0] : 1, columns = entry.shape[entry.IsMatrix() ? 1 : 0];
          std::vector<float> row(static_cast<size_t>(columns));
          for (int64_t r = 0; r < rows; ++r) {
            parameters->weights()->ReadRow(entry, r, row.data());
            fp16->SetRows(e, r, row);
          }
        }
        fp16->RoundWeights(0, fp16->table().trained_size());
        parameters = std::move(fp16);
      }
      GradientPass pass(*parameters, {.max_tokens = CountTokens(batch), .precision = precision, .threads = 2}, pool);
      pass.Run({.batch = batch, .scale = kLossScale / static_cast<double>(CountTargets(batch))});
      for (size_t e = 0; e < parameters->table().entries().size(); ++e) {
        const std::string& name = parameters->table().entries()[e].weight.name;
        const std::vector<float> want = Floats(gradients, name);
        const double error = RelativeError(InRows(*parameters, parameters->gradients(), e), kLossScale, want);
        if (precision == Precision::kBF16) {
          EXPECT_TRUE(error <= 1.5 * errors.at(name).get<double>()) << name << " " << error;
          bf16_errors[name] = error;
        } else {
          EXPECT_TRUE(error <= bf16_errors.at(name)) << name << " " << error;
        }
      }
    }
  }
  SelectSimdTarget("");
}

}  // namespace
}  // namespace stablelm
