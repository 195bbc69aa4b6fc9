// Chooses the type of each tensor in a quantized file, from a named mix, the user's rules, and the row lengths.
//
// Norms and biases stay fp32. A mix named after a type stores every matrix as that type, except the output matrix,
// which gets at least Q6_K because its errors go directly into the logits. The mixes Q4_K_M and Q5_K_M follow
// llama.cpp's for gptneox: more bits for the query-key-value matrices, and for the down matrices of the first and last
// eighth of the layers and of every third layer between.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/describe/weight_table.h"

namespace stablelm {

struct QuantMix {
  std::string_view name;   // "Q4_K_M", "Q8_0", "F16"
  DType base;              // of all other matrices
  DType qkv;               // type of attention.query_key_value
  DType important_down;    // type of mlp.dense_4h_to_h in the layers named above
  DType output;            // type of the output matrix, also if it is the embedding
  uint32_t file_type;      // GGUF's general.file_type
  std::string_view about;  // one line for --help
};

// All mixes, those with larger files first.
std::span<const QuantMix> QuantMixes();
// Case-insensitive. Throws UsageError with the known names; `where` names the option.
const QuantMix& QuantMixByName(std::string_view name, const std::string& where);

// A type for matrices by its GGUF name: "F32", "F16", "BF16", "Q8_0", ...
std::optional<DType> MatrixTypeFromName(std::string_view name);
std::string_view GgufNameOf(DType type);

// "PATTERN=TYPE": a glob pattern for the whole name of a tensor; * matches any text, ? matches one byte.
struct TensorRule {
  std::string pattern;
  DType type = DType::kF16;
};
TensorRule ParseTensorRule(std::string_view text, const std::string& where);
bool MatchesPattern(std::string_view name, std::string_view pattern);

struct TypeOptions {
  std::vector<TensorRule> rules;  // a later rule overrides an earlier one
  bool strict = false;            // throw instead of using another type with a warning
};

// The type of every entry of the table. Rules match an entry's Hugging Face name or its GGUF name. If a row length is
// not a multiple of the type's block size, the matrix gets Q8_0, or else fp16, with a line in *warnings. Throws Error
// for a rule that matches no matrix, and with `strict` for such a row length.
std::vector<DType> ChooseTypes(const QuantMix& mix, const TypeOptions& options, const std::vector<WeightEntry>& table,
                               std::vector<std::string>* warnings);

}  // namespace stablelm
