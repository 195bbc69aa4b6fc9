// The parameters of a model in training: which are trained, which decay, and where each lies.
//
// Masters, gradients and the two moments are flat fp32 arrays of the same layout (train/parameters.h). An entry of a
// matrix lies in the order in which products read it (ops/packed_matrix.h), the embedding row by row, or in packed
// order when it is the output matrix too; vectors as they are. Entries begin at multiples of kParameterAlignment
// elements, and padding is zero for ever. An array may be cut into shards at multiples of kNormChunk elements
// (ops/gradient_norm.h).
//
// A LoRA run trains adapters beside the entries of the model, which are then all frozen: an A and a B for each target
// of each layer, after the model's entries, in the order of the layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "train/lora_options.h"

namespace stablelm {

inline constexpr size_t kParameterAlignment = 64;  // elements: 256 bytes

enum class AdapterPart : uint8_t {
  kNone,  // a tensor of the model
  kA,     // [r, in]
  kB,     // [out, r]
};

struct Parameter {
  // Name, kind, layer and shape. Of an adapter: kind and layer are those of its matrix, the name is that of the matrix
  // with "lora_A.weight" or "lora_B.weight" for "weight".
  WeightEntry weight;
  AdapterPart part = AdapterPart::kNone;
  bool packed = false;   // in the order of a packed fp32 matrix; else row by row
  bool decay = false;    // weight decay: matrices and the embedding, not norms and biases; of an adapter, B alone
  bool trained = false;  // has master, gradient and moments
  size_t size = 0;       // elements, with the padding of a packed matrix
  size_t offset = 0;     // in the arrays, in elements; 0 when not trained
};

class ParameterTable {
 public:
  // `trained`: shell patterns of names ("*", "gpt_neox.layers.3.*"); empty: all parameters. Throws Error for a pattern
  // that no name matches.
  explicit ParameterTable(const ModelConfig& config, std::span<const std::string> trained = {});

  // The adapters of a LoRA run; nothing of the model is trained. Throws Error for a rank that no product takes.
  ParameterTable(const ModelConfig& config, const LoraOptions& lora);

  const std::optional<LoraOptions>& lora() const { return lora_; }
  const std::vector<Parameter>& entries() const { return entries_; }
  const Parameter& Find(WeightKind kind, int32_t layer) const;
  // Null: there is none.
  const Parameter* FindAdapter(WeightKind kind, int32_t layer, AdapterPart part) const;
  // Elements of each array, with padding.
  size_t trained_size() const { return trained_size_; }
  // Numbers of parameters without padding. NumParameters: of the model, without adapters.
  int64_t NumTrained() const { return num_trained_; }
  int64_t NumParameters() const { return num_parameters_; }
  // The lowest layer with a trained parameter: gradients of activations are needed down to its output. -1: the
  // embedding is trained; n_layers: no layer is.
  int64_t lowest_trained_layer() const { return lowest_trained_layer_; }

 private:
  void AddModel(const ModelConfig& config, std::span<const std::string> trained, bool frozen);
  // Places a trained entry in the arrays.
  void Train(Parameter& entry);

  std::optional<LoraOptions> lora_;
  std::vector<Parameter> entries_;  // in the order of the weight table, then adapters
  size_t trained_size_ = 0;
  int64_t num_trained_ = 0, num_parameters_ = 0;
  int64_t lowest_trained_layer_ = 0;
};

}  // namespace stablelm
