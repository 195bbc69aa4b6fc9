#include "checkpoint/gguf/gguf_keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/read_error.h"

namespace stablelm {
namespace {

constexpr CarriedFile kCarriedFiles[] = {
    {"config.json", "stablelm.config", true},
    {"tokenizer.json", "tokenizer.huggingface.json", true},
    {"stablelm_chat.json", "stablelm.chat", true},
    {"generation_config.json", "stablelm.generation_config"},
    {"tokenizer_config.json", "stablelm.tokenizer_config"},
    {"special_tokens_map.json", "stablelm.special_tokens_map"},
    {"README.md", "stablelm.readme"},
};

// Other architectures, for error messages.
struct OtherArchitecture {
  std::string_view architecture;
  std::string_view family;
};
constexpr OtherArchitecture kOtherArchitectures[] = {
    {"stablelm", "StableLM-3B-4E1T, Zephyr or StableLM 2: SwiGLU, another architecture"},
    {"gptj", "GPT-J: interleaved rotary and one norm per layer"},
    {"gpt2", "GPT-2: learned positions"},
    {"llama", "LLaMA: RMS norms and SwiGLU"},
    {"phi2", "Phi-2: one norm per layer"},
};

std::string Key(std::string_view name) { return std::string(kGgufArchitecture) + "." + std::string(name); }

int64_t Size(const GgufHeader& header, const std::string& key, int64_t max) {
  const std::optional<int64_t> value = header.Integer(key);
  const std::string expected = "an integer from 1 to " + std::to_string(max);
  if (!value) header.Fail(key, "missing", {}, expected);
  if (*value < 1 || *value > max) header.Fail(key, "bad size", std::to_string(*value), expected);
  return *value;
}

// "1e-05"
std::string Shown(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

double RealWithin(const GgufHeader& header, const std::string& key, std::optional<double> fallback, double min,
                  double max) {
  const std::optional<double> value = header.Real(key);
  const std::string expected = "from " + Shown(min) + " to " + Shown(max);
  if (!value) {
    if (fallback) return *fallback;
    header.Fail(key, "missing", {}, expected);
  }
  if (!(*value >= min && *value <= max)) header.Fail(key, "out of range", Shown(*value), expected);
  return *value;
}

void CheckArchitecture(const GgufHeader& header) {
  const std::optional<std::string_view> type = header.Text("general.type");
  if (type && *type != "model") {
    header.Fail("general.type", "not a model", Quoted(*type), "\"model\"", "give the file of the model itself");
  }
  const std::optional<std::string_view> architecture = header.Text("general.architecture");
  if (!architecture) header.Fail("general.architecture", "missing", {}, "\"gptneox\"");
  if (*architecture != kGgufArchitecture) {
    std::string hint = "this program runs GPT-NeoX models (StableLM-Alpha) only";
    for (const OtherArchitecture& other : kOtherArchitectures) {
      if (*architecture == other.architecture) hint = "this is " + std::string(other.family) + "; " + hint;
    }
    header.Fail("general.architecture", "another model family", Quoted(*architecture), "\"gptneox\"", hint);
  }
}

void ReadRotary(const GgufHeader& header, ModelConfig& config) {
  constexpr const char* kOtherPositions =
      "the model computes its positions otherwise, which is not supported: llama.cpp runs it";
  const std::string dims = Key("rope.dimension_count"), scaling = Key("rope.scaling.type");
  // A factor of 1 changes nothing, and 0 stands for none. The second name is that of files from 2023.
  for (const char* name : {"rope.scaling.factor", "rope.scale_linear"}) {
    const std::optional<double> factor = header.Real(Key(name));
    if (factor && *factor != 0 && *factor != 1) {
      header.Fail(Key(name), "unsupported rotary scaling", Shown(*factor), "1", kOtherPositions);
    }
  }
  if (const auto type = header.Text(scaling); type && *type != "none" && *type != "linear") {
    header.Fail(scaling, "unsupported rotary scaling", Quoted(*type), "\"none\"", kOtherPositions);
  }
  config.rotary_dims = Size(header, dims, config.head_dim());
  if (config.rotary_dims % 2 != 0) {
    header.Fail(dims, "the rotary dimensions must come in pairs", std::to_string(config.rotary_dims), "an even number");
  }
  const double head_dim = static_cast<double>(config.head_dim());
  config.rotary_share = static_cast<double>(config.rotary_dims) / head_dim;
  // int(D * share), as config.json computes it, must give rotary_dims again.
  if (static_cast<int64_t>(head_dim * config.rotary_share) < config.rotary_dims) {
    config.rotary_share = std::nextafter(config.rotary_share, 2.0);
  }
  config.rotary_base = RealWithin(header, Key("rope.freq_base"), 10000.0, kMinRotaryBase, kMaxRotaryBase);
}

int32_t ReadTokenId(const GgufHeader& header, const std::string& key, int64_t vocab_size, int32_t fallback) {
  const std::optional<int64_t> id = header.Integer(key);
  if (!id || *id == 0xFFFFFFFF || *id == -1) return fallback;  // -1 in 32 bits: none
  if (*id < 0 || *id >= vocab_size) {
    header.Fail(key, "not a token of the vocabulary", std::to_string(*id),
                "an integer from 0 to " + std::to_string(vocab_size - 1));
  }
  return static_cast<int32_t>(*id);
}

// The tensor of this name in one of the parts, with the part; null if there is none.
std::pair<const GgufFile*, const StoredTensor*> FindTensor(std::span<const GgufFile> parts, std::string_view name) {
  for (const GgufFile& part : parts) {
    const std::vector<StoredTensor>& tensors = part.header().tensors;
    const auto found = std::ranges::find(tensors, name, &StoredTensor::name);
    if (found != tensors.end()) return {&part, &*found};
  }
  return {};
}

// Tokens that end a turn or a message end a reply as well.
void AddEndIds(const GgufHeader& header, ModelConfig& config) {
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (!header.Find(key)) continue;
    const int32_t id = ReadTokenId(header, key, config.vocab_size, 0);
    if (std::ranges::find(config.eos_ids, id) == config.eos_ids.end()) config.eos_ids.push_back(id);
  }
}

// V: rows of the embedding. In a file without weights (tokenizer only): a key, or the number of tokens.
int64_t VocabularySize(std::span<const GgufFile> parts) {
  const GgufHeader& header = parts[0].header();
  if (const auto [part, tensor] = FindTensor(parts, "token_embd.weight"); tensor && tensor->shape.rank() == 2) {
    const int64_t rows = tensor->shape[0];
    if (rows < 1 || rows > kMaxVocabulary) {
      throw Error({.where = part->header().where + ": tensor \"token_embd.weight\"",
                   .what = "bad size of the vocabulary",
                   .found = std::to_string(rows) + " rows",
                   .expected = "1 to " + std::to_string(kMaxVocabulary),
                   .hint = kDamagedFileHint});
    }
    const std::string key = Key("vocab_size");
    if (const auto said = header.Integer(key); said && *said != rows) {
      header.Fail(key, "disagrees with the tensor token_embd.weight", std::to_string(*said), std::to_string(rows));
    }
    return rows;
  }
  if (!header.Find(Key("vocab_size"))) {
    const GgufArray* tokens = header.Array("tokenizer.ggml.tokens", GgufType::kString);
    if (tokens && tokens->size >= 1 && tokens->size <= uint64_t{kMaxVocabulary}) {
      return static_cast<int64_t>(tokens->size);
    }
  }
  return Size(header, Key("vocab_size"), kMaxVocabulary);
}

// llama.cpp's converter stacks the rows of QKV since May 2024. It writes "tokenizer.ggml.pre" since a month before
// that, so files without this key may have them grouped by head, and nothing in a file tells.
void WarnOfOldQkvOrder(const GgufHeader& header, std::vector<std::string>* warnings) {
  if (!warnings || !header.Find("tokenizer.ggml.tokens") || header.Find("tokenizer.ggml.pre")) return;
  warnings->push_back(
      header.where +
      ": no key \"tokenizer.ggml.pre\", so the file may be from before May 2024, when converters left the "
      "query-key-value rows in another order: if the text makes no sense, convert the original model again");
}

void WarnOfUnknownKeys(const GgufHeader& header, std::vector<std::string>* warnings) {
  constexpr std::string_view kKnown[] = {"attention.head_count",
                                         "attention.head_count_kv",
                                         "attention.key_length",
                                         "attention.layer_norm_epsilon",
                                         "attention.value_length",
                                         "block_count",
                                         "context_length",
                                         "embedding_length",
                                         "feed_forward_length",
                                         "rope.dimension_count",
                                         "rope.freq_base",
                                         "rope.scale_linear",
                                         "rope.scaling.factor",
                                         "rope.scaling.type",
                                         "use_parallel_residual",
                                         "vocab_size",
                                         "rope.scaling.original_context_length"};
  if (!warnings) return;
  const std::string prefix = Key("");
  for (const GgufEntry& entry : header.entries) {
    if (!entry.key.starts_with(prefix)) continue;
    if (std::ranges::find(kKnown, entry.key.substr(prefix.size())) == std::end(kKnown)) {
      warnings->push_back(header.where + ": unknown key " + Quoted(entry.key) + " ignored");
    }
  }
}

// The stored config.json, which has more settings than the keys. Throws Error if it disagrees with them.
ModelConfig AgreedConfig(const GgufHeader& header, const ModelConfig& keys, std::string_view json,
                         std::vector<std::string>* warnings) {
  const ModelConfig config = ParseConfig(json, header.where + ": key \"stablelm.config\"", warnings);
  const auto agree = [&](const std::string& key, const std::string& found, const std::string& expected) {
    if (found != expected) {
      header.Fail(key, "disagrees with the config.json in the key \"stablelm.config\"", found, expected,
                  "whoever changes the one must change the other");
    }
  };
  const auto sizes = [&](const char* key, int64_t found, int64_t expected) {
    agree(Key(key), std::to_string(found), std::to_string(expected));
  };
  // The value rounded to f32, as the file stores it.
  const auto as_key = [](double value) { return Shown(static_cast<double>(static_cast<float>(value))); };
  sizes("vocab_size", keys.vocab_size, config.vocab_size);
  sizes("embedding_length", keys.hidden_size, config.hidden_size);
  sizes("block_count", keys.n_layers, config.n_layers);
  sizes("attention.head_count", keys.n_heads, config.n_heads);
  sizes("feed_forward_length", keys.intermediate_size, config.intermediate_size);
  sizes("context_length", keys.max_positions, config.max_positions);
  sizes("rope.dimension_count", keys.rotary_dims, config.rotary_dims);
  agree(Key("rope.freq_base"), as_key(keys.rotary_base), as_key(config.rotary_base));
  agree(Key("attention.layer_norm_epsilon"), as_key(keys.layer_norm_eps), as_key(config.layer_norm_eps));
  agree(Key("use_parallel_residual"), keys.parallel_residual ? "true" : "false",
        config.parallel_residual ? "true" : "false");
  if (header.Find("tokenizer.ggml.eos_token_id") &&
      std::ranges::find(config.eos_ids, keys.eos_ids[0]) == config.eos_ids.end()) {
    agree("tokenizer.ggml.eos_token_id", std::to_string(keys.eos_ids[0]), std::to_string(config.eos_ids[0]));
  }
  return config;
}

}  // namespace

bool IsGgufPath(const std::filesystem::path& path) {
  constexpr std::string_view kEnding = ".gguf";
  const std::string extension = path.extension().string();
  return std::ranges::equal(extension, kEnding,
                            [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

std::span<const CarriedFile> CarriedFiles() { return kCarriedFiles; }

std::string GgufTensorName(const WeightEntry& entry) {
  const std::string block = "blk." + std::to_string(entry.layer) + ".";
  switch (entry.kind) {
    case WeightKind::kEmbedding:
      return "token_embd.weight";
    case WeightKind::kAttnNormWeight:
      return block + "attn_norm.weight";
    case WeightKind::kAttnNormBias:
      return block + "attn_norm.bias";
    case WeightKind::kMlpNormWeight:
      return block + "ffn_norm.weight";
    case WeightKind::kMlpNormBias:
      return block + "ffn_norm.bias";
    case WeightKind::kQkvWeight:
      return block + "attn_qkv.weight";
    case WeightKind::kQkvBias:
      return block + "attn_qkv.bias";
    case WeightKind::kAttnOutWeight:
      return block + "attn_output.weight";
    case WeightKind::kAttnOutBias:
      return block + "attn_output.bias";
    case WeightKind::kMlpUpWeight:
      return block + "ffn_up.weight";
    case WeightKind::kMlpUpBias:
      return block + "ffn_up.bias";
    case WeightKind::kMlpDownWeight:
      return block + "ffn_down.weight";
    case WeightKind::kMlpDownBias:
      return block + "ffn_down.bias";
    case WeightKind::kFinalNormWeight:
      return "output_norm.weight";
    case WeightKind::kFinalNormBias:
      return "output_norm.bias";
    case WeightKind::kOutput:
      return "output.weight";
  }
  STABLELM_CHECK(false);
}

ModelConfig ReadGgufConfig(std::span<const GgufFile> parts, std::vector<std::string>* warnings) {
  STABLELM_CHECK(!parts.empty());
  const GgufHeader& header = parts[0].header();
  CheckArchitecture(header);
  ModelConfig config;
  config.vocab_size = VocabularySize(parts);
  config.hidden_size = Size(header, Key("embedding_length"), kMaxHidden);
  config.n_layers = Size(header, Key("block_count"), kMaxLayers);
  config.n_heads = Size(header, Key("attention.head_count"), kMaxHidden);
  config.intermediate_size = Size(header, Key("feed_forward_length"), kMaxIntermediate);
  config.max_positions = Size(header, Key("context_length"), kMaxPositions);
  if (config.hidden_size % config.n_heads != 0) {
    header.Fail(Key("attention.head_count"),
                "does not divide the embedding length " + std::to_string(config.hidden_size),
                std::to_string(config.n_heads), "a divisor");
  }
  if (config.head_dim() % 2 != 0) {
    header.Fail(Key("attention.head_count"), "the size of a head must be even", std::to_string(config.head_dim()),
                "an even number");
  }
  const auto must_be = [&](const char* name, int64_t expected) {
    if (const auto found = header.Integer(Key(name)); found && *found != expected) {
      header.Fail(Key(name), "not a shape of this architecture", std::to_string(*found), std::to_string(expected));
    }
  };
  must_be("attention.head_count_kv", config.n_heads);
  must_be("attention.key_length", config.head_dim());
  must_be("attention.value_length", config.head_dim());
  ReadRotary(header, config);
  config.layer_norm_eps =
      RealWithin(header, Key("attention.layer_norm_epsilon"), std::nullopt, 1e-30, kMaxLayerNormEps);
  const std::string parallel = Key("use_parallel_residual");
  const std::optional<bool> flag = header.Flag(parallel);
  if (!flag) {
    header.Fail(parallel, "missing", {}, "true or false", "read wrong it gives fluent nonsense: it is not guessed");
  }
  config.parallel_residual = *flag;
  config.tie_word_embeddings = FindTensor(parts, "output.weight").second == nullptr;
  config.bos_id = ReadTokenId(header, "tokenizer.ggml.bos_token_id", config.vocab_size, 0);
  config.eos_ids = {ReadTokenId(header, "tokenizer.ggml.eos_token_id", config.vocab_size, 0)};
  WarnOfUnknownKeys(header, warnings);
  if (!header.Find("stablelm.config")) WarnOfOldQkvOrder(header, warnings);
  if (const auto json = header.Text("stablelm.config")) {
    config = AgreedConfig(header, config, *json, warnings);
    AddEndIds(header, config);
    return config;
  }
  AddEndIds(header, config);
  if (warnings && !header.Find("tokenizer.ggml.eos_token_id")) {
    warnings->push_back(header.where + ": no key \"tokenizer.ggml.eos_token_id\"; taking 0 (<|endoftext|>)");
  }
  return config;
}

void SetConfigKeys(const ModelConfig& config, GgufMetadata& metadata) {
  const auto size = [&](const char* name, int64_t value) {
    metadata.Set<uint32_t>(Key(name), static_cast<uint32_t>(value));
  };
  metadata.SetText("general.architecture", kGgufArchitecture);
  size("vocab_size", config.vocab_size);
  size("context_length", config.max_positions);
  size("embedding_length", config.hidden_size);
  size("block_count", config.n_layers);
  size("feed_forward_length", config.intermediate_size);
  metadata.Set<bool>(Key("use_parallel_residual"), config.parallel_residual);
  size("rope.dimension_count", config.rotary_dims);
  metadata.Set<float>(Key("rope.freq_base"), static_cast<float>(config.rotary_base));
  size("attention.head_count", config.n_heads);
  metadata.Set<float>(Key("attention.layer_norm_epsilon"), static_cast<float>(config.layer_norm_eps));
}

}  // namespace stablelm
