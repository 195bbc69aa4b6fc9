// Quantization while loading, with the same types, rules and encoders as `stablelm quantize`. The model gives the same
// bits as the quantized file would.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/rewrite/quant_mix.h"

namespace stablelm {

// The types of the model's matrices that have to be decoded (IsDecodeOnly), each once; empty for most models.
std::vector<DType> DecodeOnlyTypes(const ModelFolder& model);
// Says that they are decoded, into the type or mix of this name; empty if none has to be.
std::string DecodingNote(const ModelFolder& model, std::string_view into);

// LoadOptions::types for a mix. If a row length is not a multiple of the type's block size, the matrix gets Q8_0, or
// else fp16, with a line in *warnings. Throws Error if the model is already quantized: a second rounding would add to
// its errors. But if matrices have to be decoded (DecodeOnlyTypes), these get the types of the mix, and quantized ones
// that need not stay as they are.
std::vector<DType> TypesForLoading(const ModelFolder& model, const QuantMix& mix, std::vector<std::string>* warnings);

}  // namespace stablelm
