// Quantizing while a model is loaded: the same types, rules and encoders as a file of `stablelm quantize`, without the
// file. The result computes the same bits as that file would.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/quant_mix.h"

namespace stablelm {

// LoadOptions::types for a mix; rows that a type does not divide take Q8_0, or else fp16, with a line in *warnings.
// Throws Error when the model has quantized matrices already: rounding them once more would add to their errors.
std::vector<DType> TypesForLoading(const ModelFolder& model, const QuantMix& mix, std::vector<std::string>* warnings);

}  // namespace stablelm
