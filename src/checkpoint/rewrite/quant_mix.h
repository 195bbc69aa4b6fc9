// Which type each tensor of a quantized file gets: a named mix, rules of the user, and what row lengths allow.
//
// Norms and biases stay fp32. A mix named like a type stores every matrix as that type, apart from the output matrix,
// which gets at least Q6_K: each of its errors goes straight into a logit. The mixes Q4_K_M and Q5_K_M follow
// llama.cpp's of the same names for gptneox: more bits for the query-key-value matrices, and for the down matrices of
// the first and last eighth of the layers and every third one between.
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
  DType base;              // of what is not named below
  DType qkv;               // of attention.query_key_value
  DType important_down;    // of mlp.dense_4h_to_h in the layers above
  DType output;            // of the output matrix, also when it is the embedding
  uint32_t file_type;      // GGUF's general.file_type
  std::string_view about;  // one line for --help
};

// All mixes, larger files first.
std::span<const QuantMix> QuantMixes();
// By name, in any case of letters. Throws UsageError with the known names; `where` names the option.
const QuantMix& QuantMixByName(std::string_view name, const std::string& where);

// A type that matrices can be stored as, as GGUF spells it: "F32", "F16", "BF16", "Q8_0", ...
std::optional<DType> MatrixTypeFromName(std::string_view name);
std::string_view GgufNameOf(DType type);

// "PATTERN=TYPE": the pattern is matched against the whole name of a tensor; * stands for any text, ? for one byte.
struct TensorRule {
  std::string pattern;
  DType type = DType::kF16;
};
TensorRule ParseTensorRule(std::string_view text, const std::string& where);
bool MatchesPattern(std::string_view name, std::string_view pattern);

struct TypeOptions {
  std::vector<TensorRule> rules;  // a later one overrides an earlier one
  bool strict = false;            // refuse, where otherwise another type is taken with a warning
};

// The type of every entry of the table; rules see the names that it has in Hugging Face's files and in GGUF. A row that
// is not a whole number of a type's blocks is stored as Q8_0, or else as fp16, with a line in *warnings. Throws Error:
// a rule that meets no matrix, or a row length under `strict`.
std::vector<DType> ChooseTypes(const QuantMix& mix, const TypeOptions& options, const std::vector<WeightEntry>& table,
                               std::vector<std::string>* warnings);

}  // namespace stablelm
