#include "checkpoint/describe/config.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_value.h"
#include "base/mapped_file.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

// Model families by model_type, for the error when a user picked another family's repository.
struct Relative {
  std::string_view model_type;
  std::string_view family;
};
constexpr Relative kRelatives[] = {
    {"stablelm", "StableLM-3B-4E1T, Zephyr or StableLM 2: SwiGLU and no biases, another architecture"},
    {"stablelm_epoch", "StableLM-3B-4E1T or Zephyr: SwiGLU and no biases, another architecture"},
    {"stablelm_alpha", "StableLM-Base-Alpha v2: SwiGLU and one norm per layer, another architecture"},
    {"gpt_neox_japanese", "GPT-NeoX-Japanese: other biases and rotary share"},
    {"gptj", "GPT-J: interleaved rotary and one norm per layer"},
    {"gpt2", "GPT-2: learned positions"},
    {"llama", "LLaMA: RMS norms and SwiGLU"},
    {"mistral", "Mistral: RMS norms, SwiGLU and grouped heads"},
};

// Keys that do not affect the computation here. Any other unknown key gets a warning.
constexpr std::string_view kHarmless[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "add_cross_attention",
    "architectures",
    "attention_bias",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "head_dim",
    "hidden_act",
    "hidden_dropout",
    "hidden_dropout_prob",
    "hidden_size",
    "id2label",
    "initializer_range",
    "intermediate_size",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "layer_norm_eps",
    "length_penalty",
    "max_length",
    "max_position_embeddings",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_attention_heads",
    "num_beam_groups",
    "num_beams",
    "num_hidden_layers",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "partial_rotary_factor",
    "prefix",
    "problem_type",
    "pruned_heads",
    "quantization_config",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "rotary_emb_base",
    "rotary_pct",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
    "use_parallel_residual",
    "vocab_size",
};

// Reads the fields of one object; errors name file and field. null counts as missing, as in transformers.
class Fields {
 public:
  Fields(const Json& object, std::string where, std::vector<std::string>* warnings)
      : object_(object), where_(std::move(where)), warnings_(warnings) {}

  const Json* Find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  static constexpr const char* kDamaged =
      "the file was edited or damaged: take config.json again from where the weights are from";

  [[noreturn]] void Fail(const std::string& field, const std::string& what, const std::string& found,
                         const std::string& expected, const std::string& hint = kDamaged) const {
    throw Error(
        {.where = where_ + ": \"" + field + "\"", .what = what, .found = found, .expected = expected, .hint = hint});
  }

  static std::string Shown(const Json& value) { return ShownJson(value, 100); }

  int64_t Size(const char* key, int64_t max) const {
    const Json* value = Find(key);
    const std::string expected = "an integer from 1 to " + std::to_string(max);
    if (!value) Fail(key, "missing", {}, expected);
    if (!value->is_number_integer() || (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(max)) ||
        value->get<int64_t>() < 1 || value->get<int64_t>() > max) {
      Fail(key, "bad size", Shown(*value), expected);
    }
    return value->get<int64_t>();
  }

  std::optional<double> Number(const char* key) const {
    const Json* value = Find(key);
    if (!value) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
      Fail(key, "not a number", Shown(*value), "a finite number");
    }
    return value->get<double>();
  }

  std::optional<bool> Flag(const char* key) const {
    const Json* value = Find(key);
    if (!value) return std::nullopt;
    if (!value->is_boolean()) Fail(key, "not a flag", Shown(*value), "true or false");
    return value->get<bool>();
  }

  std::optional<std::string> Text(const char* key) const {
    const Json* value = Find(key);
    if (!value) return std::nullopt;
    if (!value->is_string()) Fail(key, "not a string", Shown(*value), "a string");
    return value->get<std::string>();
  }

  void Warn(const std::string& text) const {
    if (warnings_) warnings_->push_back(where_ + ": " + text);
  }

  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  const std::string where_;
  std::vector<std::string>* const warnings_;
};

void CheckFamily(const Fields& fields) {
  const std::optional<std::string> type = fields.Text("model_type");
  const std::string expected = "\"gpt_neox\"";
  if (!type) fields.Fail("model_type", "missing", {}, expected, "this program runs GPT-NeoX models (StableLM-Alpha)");
  if (*type != "gpt_neox") {
    std::string hint = "this program runs GPT-NeoX models (StableLM-Alpha) only";
    for (const Relative& relative : kRelatives) {
      if (*type == relative.model_type) hint = "this is " + std::string(relative.family) + "; " + hint;
    }
    fields.Fail("model_type", "another model family", Quoted(*type), expected, hint);
  }
  if (const Json* list = fields.Find("architectures")) {
    bool found = false;
    if (list->is_array()) {
      for (const Json& name : *list) {
        found |= name.is_string() && name.get_ref<const std::string&>() == "GPTNeoXForCausalLM";
      }
    }
    if (!found) fields.Warn("\"architectures\" does not name GPTNeoXForCausalLM; what the weights hold counts");
  }
  if (fields.Find("auto_map")) {
    fields.Warn(
        "\"auto_map\" names code of the model's repository, which is never run: the model is computed as plain "
        "GPT-NeoX");
  }
  if (const Json* quantized = fields.Find("quantization_config")) {
    fields.Fail("quantization_config", "quantized weights of another program", Fields::Shown(*quantized),
                "no such field", "take the repository with the original fp32, fp16 or bf16 weights");
  }
}

// One rotary setting under all its names in transformers; the values must agree.
class Agreed {
 public:
  Agreed(const Fields& fields, const char* meaning) : fields_(fields), meaning_(meaning) {}
  void Take(const std::string& name, std::optional<double> value) {
    if (!value) return;
    if (value_ && *value_ != *value) {
      fields_.Fail(name, std::string("disagrees with \"") + name_ + "\" about the " + meaning_, Fields::Shown(*value),
                   Fields::Shown(*value_), "one of the two is wrong; this program does not guess");
    }
    value_ = value;
    name_ = name;
  }
  double Or(double fallback, const char* key) const {
    if (!value_) fields_.Warn(std::string("no \"") + key + "\"; taking transformers' default");
    return value_.value_or(fallback);
  }
  const std::string& name() const { return name_; }

 private:
  const Fields& fields_;
  const std::string meaning_;
  std::optional<double> value_;
  std::string name_;
};

// Checks "rope_type" (or the older "type") of rope_parameters and rope_scaling: only plain rotary embeddings are
// supported, and a linear scaling by 1 is plain.
void CheckRopeObject(const Fields& fields, const char* key, const Json& object) {
  if (!object.is_object()) fields.Fail(key, "not an object", Fields::Shown(object), "an object or null");
  for (const char* name : {"rope_type", "type"}) {
    const auto type = object.find(name);
    if (type == object.end() || type->is_null() || *type == "default") continue;
    const auto factor = object.find("factor");
    if (*type == "linear" && factor != object.end() && *factor == 1) continue;
    fields.Fail(std::string(key) + "." + name, "unsupported rotary scaling", Fields::Shown(object), "\"default\"",
                "the model computes its positions otherwise, which is not supported: transformers runs it");
  }
  for (const auto& [name, value] : object.items()) {
    const std::string path = std::string(key) + "." + name;
    if (name == "rope_theta" || name == "partial_rotary_factor") {
      if (!value.is_null() && !value.is_number()) {
        fields.Fail(path, "not a number", Fields::Shown(value), "a finite number");
      }
    } else if (name != "rope_type" && name != "type" && !value.is_null()) {
      fields.Warn(Quoted(path) + " " + Fields::Shown(value) + " means nothing for plain rotary positions; ignored");
    }
  }
}

void ReadRotary(const Fields& fields, ModelConfig& config) {
  constexpr const char* kNoRotary = "a model without rotary positions is another one, which is not supported";
  Agreed share(fields, "rotary share"), base(fields, "rotary base");
  share.Take("rotary_pct", fields.Number("rotary_pct"));
  base.Take("rotary_emb_base", fields.Number("rotary_emb_base"));
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const Json* object = fields.Find(key);
    if (!object) continue;
    if (object->empty() || *object == "") {  // as in Python, where these are false
      if (!object->is_object()) fields.Warn(std::string("\"") + key + "\" " + Fields::Shown(*object) + " ignored");
      continue;
    }
    CheckRopeObject(fields, key, *object);
    const Fields inner(*object, fields.where(), nullptr);
    share.Take(std::string(key) + ".partial_rotary_factor", inner.Number("partial_rotary_factor"));
    base.Take(std::string(key) + ".rope_theta", inner.Number("rope_theta"));
  }
  config.rotary_share = share.Or(0.25, "rotary_pct");
  config.rotary_base = base.Or(10000, "rotary_emb_base");
  // Names of other families, which transformers does not read for this one.
  const auto ignore = [&](const char* key, double taken, const char* instead) {
    const std::optional<double> value = fields.Number(key);
    if (!value || *value == taken) return;
    fields.Warn(std::string("\"") + key + "\" " + Fields::Shown(*value) +
                " is not read for this model family; taking \"" + instead + "\" " + Fields::Shown(taken));
  };
  ignore("partial_rotary_factor", config.rotary_share, "rotary_pct");
  ignore("rope_theta", config.rotary_base, "rotary_emb_base");
  const std::string share_name = share.name().empty() ? "rotary_pct" : share.name();
  if (!(config.rotary_share > 0 && config.rotary_share <= 1)) {
    fields.Fail(share_name, "out of range", Fields::Shown(config.rotary_share), "above 0 and at most 1",
                config.rotary_share == 0 ? kNoRotary : Fields::kDamaged);
  }
  if (!(config.rotary_base >= kMinRotaryBase && config.rotary_base <= kMaxRotaryBase)) {
    fields.Fail(base.name(), "out of range", Fields::Shown(config.rotary_base), "from 0.001 to 1e+38",
                "with such a base fp32 cannot hold the angles of the positions");
  }
  config.rotary_dims = static_cast<int64_t>(static_cast<double>(config.head_dim()) * config.rotary_share);
  if (config.rotary_dims < 2 || config.rotary_dims % 2 != 0) {
    fields.Fail(
        share_name, "the rotary dimensions must come in pairs",
        std::to_string(config.rotary_dims) + " of " + std::to_string(config.head_dim()) + " dimensions per head",
        "an even number of at least 2",
        config.rotary_dims == 0
            ? kNoRotary
            : "versions of transformers compute an odd number differently; this program does not guess");
  }
}

// An id outside the vocabulary is never generated, so it changes nothing: ignored with a warning.
std::optional<int32_t> ReadTokenId(const Fields& fields, const char* key, const Json& value, int64_t vocab_size) {
  if (value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() < uint64_t(vocab_size)) &&
      value.get<int64_t>() >= 0 && value.get<int64_t>() < vocab_size) {
    return value.get<int32_t>();
  }
  if (!value.is_number_integer()) {
    fields.Fail(key, "not a token id", Fields::Shown(value), "an integer from 0 to " + std::to_string(vocab_size - 1));
  }
  fields.Warn(std::string("\"") + key + "\" " + Fields::Shown(value) + " is no token of the vocabulary; ignored");
  return std::nullopt;
}

void ReadTokenIds(const Fields& fields, ModelConfig& config) {
  if (const Json* bos = fields.Find("bos_token_id")) {
    config.bos_id = ReadTokenId(fields, "bos_token_id", *bos, config.vocab_size).value_or(config.bos_id);
  }
  std::vector<int32_t> ends;
  if (const Json* eos = fields.Find("eos_token_id")) {
    const Json list = eos->is_array() ? *eos : Json{*eos};
    if (list.size() > 1000) {
      fields.Fail("eos_token_id", "bad list", std::to_string(list.size()) + " ids", "1 to 1000 ids");
    }
    for (const Json& id : list) {
      if (const auto known = ReadTokenId(fields, "eos_token_id", id, config.vocab_size)) ends.push_back(*known);
    }
  }
  if (ends.empty()) {
    // transformers' class default is 2, which is wrong for this family: 0 is <|endoftext|>.
    fields.Warn("no \"eos_token_id\"; taking 0 (<|endoftext|>)");
    ends = {0};
  }
  config.eos_ids = ends;
}

// Of random weights alone, which a folder with weights does not need.
void ReadInitializerRange(const Fields& fields, ModelConfig& config) {
  const Json* value = fields.Find("initializer_range");
  if (!value) return;
  const double range = value->is_number() ? value->get<double>() : -1;
  if (range >= 0 && range <= 100) {
    config.initializer_range = range;
  } else {
    fields.Warn("\"initializer_range\" " + Fields::Shown(*value) + " is not a number from 0 to 100; ignored");
  }
}

std::optional<DType> TorchType(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  if (name == "float32" || name == "float") return DType::kF32;
  if (name == "float16" || name == "half") return DType::kF16;
  if (name == "bfloat16") return DType::kBF16;
  if (name == "float64" || name == "double") return DType::kF64;
  return std::nullopt;
}

const char* TorchName(DType type) {
  switch (type) {
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    case DType::kF64:
      return "float64";
    default:
      return "float32";
  }
}

void ReadStoredType(const Fields& fields, ModelConfig& config) {
  std::string first;
  for (const char* key : {"dtype", "torch_dtype"}) {  // transformers prefers the newer name
    const Json* value = fields.Find(key);
    if (!value) continue;
    const std::optional<DType> type =
        value->is_string() ? TorchType(value->get_ref<const std::string&>()) : std::nullopt;
    const std::string shown = std::string("\"") + key + "\" " + Fields::Shown(*value);
    if (!type) {
      fields.Warn(shown + " is not a type of weights; ignored");
    } else if (config.stored_dtype && config.stored_dtype != type) {
      fields.Warn(shown + " disagrees with \"" + first + "\"; ignored, as the weight files tell their types");
    } else {
      config.stored_dtype = type;
      first = key;
    }
  }
}

}  // namespace

int64_t ModelConfig::NumParameters() const {
  const int64_t V = vocab_size, C = hidden_size, L = n_layers, F = intermediate_size;
  const int64_t norms = 4 * C;
  const int64_t attention = 3 * C * C + 3 * C + C * C + C;
  const int64_t mlp = F * C + F + C * F + C;
  return V * C + L * (norms + attention + mlp) + 2 * C + (tie_word_embeddings ? 0 : V * C);
}

std::optional<ModelConfig> ModelConfig::FromShapeName(std::string_view name) {
  ModelConfig config;
  if (name == "3b") {
    config.vocab_size = 50688;  // 50,277 tokens padded to a multiple of 128 x 4 model-parallel ranks
    config.hidden_size = 4096;
    config.n_heads = 32;
  } else if (name == "7b") {
    config.vocab_size = 50432;  // padded to a multiple of 128 x 2
    config.hidden_size = 6144;
    config.n_heads = 48;
  } else {
    return std::nullopt;
  }
  config.n_layers = 16;
  config.intermediate_size = 4 * config.hidden_size;
  config.max_positions = 4096;
  config.rotary_share = 0.25;
  config.rotary_dims = 32;
  return config;
}

ModelConfig ParseConfig(std::string_view json, const std::string& where, std::vector<std::string>* warnings) {
  const Json root = ParseStrictJson(json, where, kMaxJsonDepth, HugeNumbers::kInfinite);
  if (!root.is_object()) {
    throw Error({.where = where,
                 .what = "not a model configuration",
                 .found = Fields::Shown(root),
                 .expected = "a JSON object",
                 .hint = Fields::kDamaged});
  }
  const Fields fields(root, where, warnings);
  CheckFamily(fields);

  ModelConfig config;
  config.vocab_size = fields.Size("vocab_size", kMaxVocabulary);
  config.hidden_size = fields.Size("hidden_size", kMaxHidden);
  config.n_layers = fields.Size("num_hidden_layers", kMaxLayers);
  config.n_heads = fields.Size("num_attention_heads", kMaxHidden);
  config.intermediate_size = fields.Size("intermediate_size", kMaxIntermediate);
  if (fields.Find("max_position_embeddings")) {
    config.max_positions = fields.Size("max_position_embeddings", kMaxPositions);
  } else {
    config.max_positions = 2048;
    fields.Warn("no \"max_position_embeddings\"; taking transformers' default 2048");
  }
  if (config.hidden_size % config.n_heads != 0) {
    fields.Fail("num_attention_heads", "does not divide \"hidden_size\" " + std::to_string(config.hidden_size),
                std::to_string(config.n_heads), "a divisor");
  }
  if (config.head_dim() % 2 != 0) {
    fields.Fail("num_attention_heads", "the size of a head must be even", std::to_string(config.head_dim()),
                "an even number");
  }
  if (fields.Find("head_dim") && fields.Size("head_dim", kMaxHidden) != config.head_dim()) {
    fields.Fail("head_dim", "not \"hidden_size\" divided by \"num_attention_heads\"",
                Fields::Shown(*fields.Find("head_dim")), std::to_string(config.head_dim()),
                "this model family has no heads of another size");
  }
  ReadRotary(fields, config);

  if (const std::optional<std::string> act = fields.Text("hidden_act")) {
    config.hidden_act = *act;
    if (*act == "gelu" || *act == "gelu_python") {
      config.activation = Activation::kGeluErf;
    } else if (*act == "gelu_new" || *act == "gelu_fast" || *act == "gelu_pytorch_tanh" || *act == "gelu_python_tanh" ||
               *act == "gelu_accurate") {
      config.activation = Activation::kGeluTanh;
    } else {
      fields.Fail("hidden_act", "unsupported activation", Quoted(*act),
                  "\"gelu\", \"gelu_new\", \"gelu_fast\" or \"gelu_pytorch_tanh\"",
                  "the model computes another function, which is not supported: transformers runs it");
    }
  } else {
    fields.Warn("no \"hidden_act\"; taking transformers' default \"gelu\"");
  }
  if (const std::optional<double> eps = fields.Number("layer_norm_eps")) {
    if (!(*eps > 0 && *eps <= kMaxLayerNormEps)) {
      fields.Fail("layer_norm_eps", "out of range", Fields::Shown(*eps), "above 0 and at most 1e+38");
    }
    config.layer_norm_eps = *eps;
  } else {
    fields.Warn("no \"layer_norm_eps\"; taking transformers' default 1e-5");
  }
  if (fields.Flag("attention_bias") == false) {
    fields.Fail("attention_bias", "models without attention biases are not supported", "false", "true",
                "transformers runs such a model");
  }
  if (const std::optional<bool> parallel = fields.Flag("use_parallel_residual")) {
    config.parallel_residual = *parallel;
  } else {
    fields.Warn("no \"use_parallel_residual\"; taking transformers' default true");
  }
  config.tie_word_embeddings = fields.Flag("tie_word_embeddings").value_or(false);
  ReadTokenIds(fields, config);
  ReadInitializerRange(fields, config);
  ReadStoredType(fields, config);

  const std::set<std::string_view> known(std::begin(kHarmless), std::end(kHarmless));
  for (const auto& [key, value] : root.items()) {
    if (!known.contains(key) && !value.is_null()) fields.Warn("unknown key " + Quoted(key) + " ignored");
  }
  return config;
}

ModelConfig ReadConfig(const std::filesystem::path& file, std::vector<std::string>* warnings) {
  constexpr size_t kMaxBytes = 4 << 20;
  return ParseConfig(ReadTextFile(file, kMaxBytes), file.string(), warnings);
}

std::string WriteConfig(const ModelConfig& config, DType weights) {
  JsonValue root;
  root["architectures"] = {"GPTNeoXForCausalLM"};
  root["attention_bias"] = true;
  root["attention_dropout"] = 0.0;
  root["bos_token_id"] = config.bos_id;
  if (config.eos_ids.size() == 1) {
    root["eos_token_id"] = config.eos_ids[0];
  } else {
    root["eos_token_id"] = config.eos_ids;
  }
  root["hidden_act"] = config.hidden_act;
  root["hidden_dropout"] = 0.0;
  root["hidden_size"] = config.hidden_size;
  root["initializer_range"] = config.initializer_range;
  root["intermediate_size"] = config.intermediate_size;
  root["layer_norm_eps"] = config.layer_norm_eps;
  root["max_position_embeddings"] = config.max_positions;
  root["model_type"] = "gpt_neox";
  root["num_attention_heads"] = config.n_heads;
  root["num_hidden_layers"] = config.n_layers;
  // transformers 5 reads rope_parameters, earlier versions the two flat names.
  root["rope_parameters"] = {
      {"partial_rotary_factor", config.rotary_share}, {"rope_theta", config.rotary_base}, {"rope_type", "default"}};
  root["rotary_emb_base"] = config.rotary_base;
  root["rotary_pct"] = config.rotary_share;
  root["tie_word_embeddings"] = config.tie_word_embeddings;
  root["torch_dtype"] = TorchName(weights);
  root["use_cache"] = true;
  root["use_parallel_residual"] = config.parallel_residual;
  root["vocab_size"] = config.vocab_size;
  return root.Dump(2) + "\n";
}

}  // namespace stablelm
