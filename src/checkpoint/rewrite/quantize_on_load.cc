#include "checkpoint/rewrite/quantize_on_load.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {

std::vector<DType> DecodeOnlyTypes(const ModelFolder& model) {
  std::vector<DType> types;
  for (size_t i = 0; i < model.table().size(); ++i) {
    const DType type = *model.TensorOf(i).dtype;
    if (IsDecodeOnly(type) && std::ranges::find(types, type) == types.end()) types.push_back(type);
  }
  return types;
}

std::string DecodingNote(const ModelFolder& model, std::string_view into) {
  std::vector<std::string> stored;
  for (const DType type : DecodeOnlyTypes(model)) stored.emplace_back(NameOf(type));
  if (stored.empty()) return {};
  return "weights stored as " + Joined(stored, " and ") + " are decoded while loading, into " + std::string(into);
}

std::vector<DType> TypesForLoading(const ModelFolder& model, const QuantMix& mix, std::vector<std::string>* warnings) {
  const bool decodes = !DecodeOnlyTypes(model).empty();
  for (size_t i = 0; i < model.table().size() && !decodes; ++i) {
    const StoredTensor& tensor = model.TensorOf(i);
    if (!IsQuantized(*tensor.dtype)) continue;
    throw Error({.where = model.path().string() + ": tensor " + Quoted(tensor.name),
                 .what = "is quantized already: `quantize=" + std::string(mix.name) + "` would add to its errors",
                 .found = tensor.stored_as,
                 .expected = "a model of fp32, fp16, bf16 or fp64 weights",
                 .hint = "leave `quantize` out: the model runs as it is stored; or start from the original weights"});
  }
  std::vector<DType> types = ChooseTypes(mix, {}, model.table(), warnings);
  for (size_t i = 0; i < types.size(); ++i) {
    const DType stored = *model.TensorOf(i).dtype;
    if (IsQuantized(stored) && !IsDecodeOnly(stored)) types[i] = stored;
  }
  return types;
}

}  // namespace stablelm
