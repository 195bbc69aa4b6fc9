// What a quantized file of a model holds: bytes by type, the importance of its columns, its keys. Which type each
// tensor gets is quant_mix.h; its bytes are tensor_copy.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/importance.h"
#include "checkpoint/rewrite/quant_mix.h"

namespace stablelm {

struct SizeOfType {
  size_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};
struct QuantizedSize {
  std::vector<std::pair<DType, SizeOfType>> types;  // largest type first; those that occur
  uint64_t elements = 0;
  uint64_t bytes = 0;
  uint64_t source_bytes = 0;

  double BitsPerWeight() const { return 8 * static_cast<double>(bytes) / static_cast<double>(elements); }
};
// `types` [table]
QuantizedSize SizeOfQuantized(const ModelFolder& model, const std::vector<DType>& types);

// Tensors that are quantized already and become another quantized type: the two roundings add up.
size_t CountRequantized(const ModelFolder& model, const std::vector<DType>& types);

struct ColumnWeights {
  std::vector<std::vector<float>> weights;  // TensorCopy::weights
  size_t used = 0;                          // matrices that have some
  size_t quantized = 0;                     // matrices that could have some
};
// What the columns of each matrix count. `where` names the file. Throws Error when the importance is another model's.
ColumnWeights WeighColumns(const ModelFolder& model, const std::vector<DType>& types,
                           const ImportanceMatrix& importance, const std::string& where);

// How a quantized file came about, for its keys.
struct QuantizedBy {
  const QuantMix* mix = nullptr;  // not null
  std::vector<TensorRule> rules = {};
  std::string importance = {};  // name of the file; empty: none
};
// The model's keys (GgufMetadataOf), and "general.file_type", "general.quantization_version", "stablelm.quantize.type",
// "stablelm.quantize.rules", "quantize.imatrix.file", without what the source says of an earlier quantization.
GgufMetadata QuantizedMetadata(const ModelFolder& model, const QuantizedBy& by);

}  // namespace stablelm
