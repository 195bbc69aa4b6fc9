// A quantized file of a model: its size by type, column weights, and metadata. quant_mix.h chooses the type of each
// tensor; tensor_copy.h encodes the data.
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
  std::vector<std::pair<DType, SizeOfType>> types;  // the types that occur, largest first
  uint64_t elements = 0;
  uint64_t bytes = 0;
  uint64_t source_bytes = 0;

  double BitsPerWeight() const { return 8 * static_cast<double>(bytes) / static_cast<double>(elements); }
};
// `types` is [table].
QuantizedSize SizeOfQuantized(const ModelFolder& model, const std::vector<DType>& types);

// Number of quantized tensors that become another quantized type; the errors of both roundings add up.
size_t CountRequantized(const ModelFolder& model, const std::vector<DType>& types);

struct ColumnWeights {
  std::vector<std::vector<float>> weights;  // TensorCopy::weights
  size_t used = 0;                          // number of matrices with weights
  size_t quantized = 0;                     // number of matrices that are quantized
};
// The column weights of each matrix. `where` names the file. Throws Error if the importance is of another model.
ColumnWeights WeighColumns(const ModelFolder& model, const std::vector<DType>& types,
                           const ImportanceMatrix& importance, const std::string& where);

// How a file was quantized, for its metadata.
struct QuantizedBy {
  const QuantMix* mix = nullptr;  // not null
  std::vector<TensorRule> rules = {};
  std::string importance = {};  // name of the file; empty: none
};
// The model's metadata (GgufMetadataOf) with "general.file_type", "general.quantization_version",
// "stablelm.quantize.type", "stablelm.quantize.rules" and "quantize.imatrix.file". Drops the source's keys about an
// earlier quantization. `warnings`: as for ReadCarried.
GgufMetadata QuantizedMetadata(const ModelFolder& model, const QuantizedBy& by,
                               std::vector<std::string>* warnings = nullptr);

}  // namespace stablelm
