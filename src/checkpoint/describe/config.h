// The configuration of a GPT-NeoX model: reads a Hugging Face config.json (old and new spelling) and writes one.
//
// Follows transformers' GPTNeoXConfig. Every setting that changes the arithmetic is read from the file or refused,
// never guessed. Sizes are checked: positive, below sane limits, divisible where required.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace stablelm {

enum class Activation : uint8_t {
  kGeluErf,   // "gelu": 0.5 z (1 + erf(z / sqrt 2))
  kGeluTanh,  // "gelu_new", "gelu_fast", "gelu_pytorch_tanh": 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))
};

// Limits above every model of this family; a file that exceeds them is damaged.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 20;
inline constexpr int64_t kMaxHidden = 65536;
inline constexpr int64_t kMaxIntermediate = int64_t{1} << 20;
inline constexpr int64_t kMaxLayers = 512;
inline constexpr int64_t kMaxPositions = int64_t{1} << 20;
// What fp32 holds: below this base the angles are too large for it.
inline constexpr double kMinRotaryBase = 1e-3, kMaxRotaryBase = 1e38;
inline constexpr double kMaxLayerNormEps = 1e38;

struct ModelConfig {
  int64_t vocab_size = 0;         // V, including padding rows
  int64_t hidden_size = 0;        // C
  int64_t n_layers = 0;           // L
  int64_t n_heads = 0;            // H
  int64_t intermediate_size = 0;  // F
  int64_t max_positions = 0;      // context length
  int64_t rotary_dims = 0;        // R: the first R of D dimensions of every head are rotated; even
  double rotary_share = 0;        // rotary_pct as in the file; R = int(D * share)
  double rotary_base = 10000;
  double layer_norm_eps = 1e-5;
  Activation activation = Activation::kGeluErf;
  std::string hidden_act = "gelu";   // the activation's name in the file, kept for writing
  bool parallel_residual = true;     // x + attn(ln1 x) + mlp(ln2 x); else x += attn(ln1 x); x += mlp(ln2 x)
  bool tie_word_embeddings = false;  // the output matrix is the embedding matrix
  int32_t bos_id = 0;
  std::vector<int32_t> eos_ids = {0};
  double initializer_range = 0.02;
  std::optional<DType> stored_dtype;  // "torch_dtype" or "dtype": type of the saved weights, not of the computation

  int64_t head_dim() const { return hidden_size / n_heads; }  // D
  // 2 V C + L (12 C^2 + 13 C) + 2 C for F = 4 C; V C less if tied. Does not count the buffers of old files.
  int64_t NumParameters() const;
  // The shapes of the released models "3b" and "7b", with their padded vocabularies and 4,096 tokens of context;
  // nullopt for other names.
  static std::optional<ModelConfig> FromShapeName(std::string_view name);
};

// Parses the text of a config.json. `where` names the file in errors. Throws Error (field, found, expected). Appends
// warnings for the user (unknown keys, missing keys with a default) to *warnings unless it is null.
ModelConfig ParseConfig(std::string_view json, const std::string& where, std::vector<std::string>* warnings = nullptr);
ModelConfig ReadConfig(const std::filesystem::path& file, std::vector<std::string>* warnings = nullptr);

// The text of a config.json for transformers 4 and 5: with rotary_pct, rotary_emb_base and rope_parameters,
// torch_dtype, architectures.
std::string WriteConfig(const ModelConfig& config, DType weights);

}  // namespace stablelm
