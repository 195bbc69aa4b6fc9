#include "checkpoint/rewrite/quantize_on_load.h"

#include "base/error.h"

namespace stablelm {

std::vector<DType> TypesForLoading(const ModelFolder& model, const QuantMix& mix, std::vector<std::string>* warnings) {
  for (size_t i = 0; i < model.table().size(); ++i) {
    const StoredTensor& tensor = model.TensorOf(i);
    if (!IsQuantized(*tensor.dtype)) continue;
    throw Error({.where = model.path().string() + ": tensor " + Quoted(tensor.name),
                 .what = "is quantized already: `quantize=" + std::string(mix.name) + "` would add to its errors",
                 .found = tensor.stored_as,
                 .expected = "a model of fp32, fp16, bf16 or fp64 weights",
                 .hint = "leave `quantize` out: the model runs as it is stored; or start from the original weights"});
  }
  return ChooseTypes(mix, {}, model.table(), warnings);
}

}  // namespace stablelm
