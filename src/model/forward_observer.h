// Reports intermediate results of a forward pass: hidden states for `score --save-hidden` and embeddings, the input
// activations of matrices (eval/importance_collector.h), and the search for the first non-finite value.
#pragma once

#include <cstdint>
#include <string_view>

namespace stablelm {

class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  // Hidden states as in transformers: index 0 is the embedding, index i the output of layer i - 1; the last one (index
  // L) is taken after the final layer norm. x is [rows of the batch, width], valid during the call.
  virtual void OnHidden(int64_t index, const float* x, int64_t rows, int64_t width) {
    static_cast<void>(index), static_cast<void>(x), static_cast<void>(rows), static_cast<void>(width);
  }
  // The output of one step of a layer (layer -1: outside the layers). `module` is the checkpoint's name for the module
  // that computed it, such as "attention.query_key_value"; "mlp.act" is the activation function.
  virtual void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) {
    static_cast<void>(layer), static_cast<void>(module), static_cast<void>(y), static_cast<void>(rows),
        static_cast<void>(width);
  }
};

}  // namespace stablelm
