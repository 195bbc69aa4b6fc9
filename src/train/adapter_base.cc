#include "train/adapter_base.h"

#include <algorithm>

#include "base/ascii.h"
#include "checkpoint/rewrite/quantize_on_load.h"

namespace stablelm {
namespace {

constexpr DType kFloatTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

bool HasQuantizedMatrix(const ModelFolder& model) {
  for (size_t i = 0; i < model.table().size(); ++i) {
    if (IsQuantized(*model.TensorOf(i).dtype)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> BaseTypeNames() {
  std::vector<std::string> names;
  for (const DType type : kFloatTypes) names.emplace_back(NameOf(type));
  for (const QuantMix& mix : QuantMixes()) {
    if (IsQuantized(mix.base)) names.push_back(LowerAscii(mix.name));
  }
  return names;
}

AdapterBase ChooseAdapterBase(const ModelFolder& model, const std::string& name, Precision precision,
                              std::vector<std::string>* warnings) {
  AdapterBase base = {.compute = precision == Precision::kBF16 ? Compute::kFast : Compute::kExact};
  const auto type = std::ranges::find_if(kFloatTypes, [&](DType one) { return NameOf(one) == name; });
  if (type != std::end(kFloatTypes)) {
    base.dtype = *type;
  } else if (!name.empty()) {
    base.types = TypesForLoading(model, QuantMixByName(name, "base_dtype"), warnings);
  } else if (precision == Precision::kBF16 && !HasQuantizedMatrix(model)) {
    base.dtype = DType::kBF16;
  }
  return base;
}

WeightBytes PlanAdapterBase(const ModelFolder& model, const AdapterBase& base) {
  return PlanWeights(model, {.dtype = base.dtype, .types = base.types, .compute = base.compute});
}

std::shared_ptr<const ModelWeights> LoadAdapterBase(std::shared_ptr<const ModelFolder> model, const AdapterBase& base,
                                                    ThreadPool& pool, bool show_progress) {
  return LoadWeights(std::move(model), {.dtype = base.dtype,
                                        .types = base.types,
                                        .compute = base.compute,
                                        .check_values = true,
                                        .show_progress = show_progress,
                                        .pool = &pool});
}

}  // namespace stablelm
