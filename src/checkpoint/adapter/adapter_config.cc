#include "checkpoint/adapter/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/ascii.h"

#include "base/error.h"
#include "base/json_value.h"
#include "base/nearest.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

constexpr const char* kTakeAgain =
    "the file was edited or damaged: take adapter_config.json again from where the adapter is from";

// Settings that change the arithmetic and are not done here: refused unless null, false or empty.
struct NotDone {
  std::string_view key;
  std::string_view what;
};
constexpr NotDone kNotDone[] = {
    {"use_dora", "DoRA is not supported"},
    {"use_qalora", "QALoRA is not supported"},
    {"use_bdlora", "BD-LoRA is not supported"},
    {"alpha_pattern", "an alpha of its own for some modules is not supported"},
    {"rank_pattern", "a rank of its own for some modules is not supported"},
    {"modules_to_save", "whole modules beside the low-rank matrices are not supported"},
    {"layers_to_transform", "adapters of some layers only are not supported"},
    {"layer_replication", "layers that are used more than once are not supported"},
    {"fan_in_fan_out", "transposed weights are not supported"},
    {"lora_bias", "a bias of B is not supported"},
    {"trainable_token_indices", "trained embeddings of single tokens are not supported"},
    {"target_parameters", "adapters of single parameters are not supported"},
    {"alora_invocation_tokens", "an adapter that begins at certain tokens (aLoRA) is not supported"},
    {"arrow_config", "routing between adapters (Arrow) is not supported"},
    {"megatron_config", "Megatron's parallel layers are not supported"},
    {"kasa_config", "KaSA is not supported"},
    {"velora_config", "VeLoRA is not supported"},
    {"monteclora_config", "MonteCLoRA is not supported"},
};

// Settings of training, of PEFT itself, or read below.
constexpr std::string_view kKnown[] = {
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "enable_lora",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
};

// Whether the value leaves a setting off.
bool IsOff(const Json& value) {
  return value.empty() || value == false || value == "";  // empty: null, {} or []
}

class ConfigReader {
 public:
  ConfigReader(const Json& object, const std::string& where) : object_(object), where_(where) {}

  AdapterConfig Read() const {
    RequireLora();
    RefuseWhatIsNotDone();
    AdapterConfig config;
    config.rank = Rank();
    config.alpha = Number("lora_alpha", std::nullopt);
    config.dropout = Number("lora_dropout", 0);
    config.rslora = Flag("use_rslora");
    config.targets = Names("target_modules", true);
    config.excluded = Names("exclude_modules", false);
    if (const Json* base = Find("base_model_name_or_path"); base && base->is_string()) {
      config.base = base->get<std::string>();
    }
    return config;
  }

 private:
  // null is the same as missing.
  const Json* Find(std::string_view key) const {
    const auto it = object_.find(std::string(key));
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  [[noreturn]] void Fail(std::string_view key, std::string_view what, const Json* found, const std::string& expected,
                         const std::string& hint = kTakeAgain) const {
    throw Error({.where = where_ + ": \"" + std::string(key) + "\"",
                 .what = std::string(what),
                 .found = found ? ShownJson(*found, 100) : "",
                 .expected = expected,
                 .hint = hint});
  }

  void RequireLora() const {
    const Json* type = Find("peft_type");
    if (!type) Fail("peft_type", "missing", nullptr, "\"LORA\"", "is this the adapter_config.json of an adapter?");
    if (!type->is_string() || type->get<std::string>() != "LORA") {
      Fail("peft_type", "another kind of adapter", type, "\"LORA\"", kMergeAdapterHint);
    }
  }

  void RefuseWhatIsNotDone() const {
    std::vector<std::string> known;
    for (const std::string_view key : kKnown) known.emplace_back(key);
    for (const auto& [key, value] : object_.items()) {
      const auto setting = std::ranges::find(kNotDone, key, &NotDone::key);
      if (setting == std::end(kNotDone) ? std::ranges::find(kKnown, key) != std::end(kKnown) : IsOff(value)) continue;
      if (setting != std::end(kNotDone)) Fail(key, setting->what, &value, "null, false or empty", kMergeAdapterHint);
      if (IsOff(value)) continue;
      Fail(key, "unknown setting, which may change what the adapter computes", &value, "a setting of PEFT's LoraConfig",
           DidYouMean(key, known, kMergeAdapterHint));
    }
    if (const Json* bias = Find("bias"); bias && *bias != "none") {
      Fail("bias", "trained biases are not supported", bias, "\"none\"", kMergeAdapterHint);
    }
    // The others change the base's weights before the adapter is added (PiSSA, OLoRA, CorDA, LoftQ, ...).
    const Json* init = Find("init_lora_weights");
    if (init && !init->is_boolean() && *init != "gaussian" && *init != "orthogonal" && *init != "eva") {
      Fail("init_lora_weights", "the adapter belongs to a base that its initialisation has changed", init,
           "true, false, \"gaussian\", \"orthogonal\" or \"eva\"",
           "convert it to a plain LoRA with PEFT (save_pretrained with path_initial_model_for_weight_conversion)");
    }
  }

  int64_t Rank() const {
    const Json* r = Find("r");
    const std::string expected = "a whole number from 1 to " + std::to_string(kMaxAdapterRank);
    if (!r) Fail("r", "missing", nullptr, expected);
    if (!r->is_number_integer() || *r < 1 || *r > kMaxAdapterRank) Fail("r", "not a rank", r, expected);
    return r->get<int64_t>();
  }

  double Number(std::string_view key, std::optional<double> otherwise) const {
    const Json* value = Find(key);
    if (!value && otherwise) return *otherwise;
    if (!value) Fail(key, "missing", nullptr, "a number");
    // Larger values have no finite sum in fp32.
    if (!value->is_number() || !(std::abs(value->get<double>()) <= 1e6)) {
      Fail(key, "not a number", value, "a number from -1e6 to 1e6");
    }
    return value->get<double>();
  }

  bool Flag(std::string_view key) const {
    const Json* value = Find(key);
    if (!value) return false;
    if (!value->is_boolean()) Fail(key, "not a flag", value, "true or false");
    return value->get<bool>();
  }

  ModuleNames Names(std::string_view key, bool needed) const {
    const Json* value = Find(key);
    const std::string expected = "a list of names of modules, or one regular expression";
    if (!value && !needed) return {};
    if (!value) {
      Fail(key, "missing", nullptr, expected, "PEFT knows the modules of GPT-NeoX: [\"query_key_value\"]");
    }
    ModuleNames names;
    if (value->is_string()) {
      names.pattern = value->get<std::string>();
      if (needed && *names.pattern == "all-linear") return {.all_linear = true};
      names.Match("", where_ + ": \"" + std::string(key) + "\"");  // refuses what is no pattern
      return names;
    }
    if (!value->is_array() || (needed && value->empty())) Fail(key, "no names of modules", value, expected);
    for (const Json& name : *value) {
      if (!name.is_string() || name.get<std::string>().empty()) Fail(key, "not the name of a module", &name, expected);
      names.names.push_back(name.get<std::string>());
    }
    return names;
  }

  const Json& object_;
  const std::string& where_;
};

constexpr size_t kMaxPattern = 500;

// Only what means the same in Python as here, and cannot take long: no look-around, references, counts or flags.
bool IsPlainPattern(std::string_view pattern) {
  if (pattern.size() > kMaxPattern) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const std::string_view rest = pattern.substr(i + 1);
    if (c == '\\') {
      if (rest.empty() || std::string_view(".dw-_").find(rest[0]) == std::string_view::npos) return false;
      ++i;
    } else if (c == '(') {
      if (rest.starts_with('?') && !rest.starts_with("?:")) return false;
    } else if (c == '[') {
      if (rest.starts_with(']') || rest.starts_with("^]") || rest.find('[') < rest.find(']')) return false;
    } else if (!(LowerAscii(c) >= 'a' && LowerAscii(c) <= 'z') && !(c >= '0' && c <= '9') &&
               std::string_view("_.|)]*+?^$-:").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

bool MatchesPattern(const std::string& pattern, std::string_view module, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw Error({.where = where,
                 .what = what,
                 .found = Quoted(pattern),
                 .expected = "at most 500 letters, digits and . | ( ) (?: [ ] * + ? ^ $ \\d \\w \\.",
                 .hint = "write the modules as a list: [\"query_key_value\", \"dense\"]"});
  };
  if (!IsPlainPattern(pattern)) fail("not a regular expression that is supported here");
  try {
    // __polynomial: of libstdc++, whose other algorithm takes exponential time for some patterns.
    const std::regex regex(pattern, std::regex::ECMAScript | std::regex_constants::__polynomial);
    return std::regex_match(module.begin(), module.end(), regex);
  } catch (const std::regex_error&) {
    fail("not a regular expression");
  }
  return false;
}

}  // namespace

bool ModuleNames::Match(std::string_view module, const std::string& where) const {
  if (all_linear) return true;
  if (pattern) return MatchesPattern(*pattern, module, where);
  return std::ranges::any_of(names,
                             [&](const std::string& name) { return module == name || module.ends_with("." + name); });
}

double AdapterConfig::Scale() const {
  const double r = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

AdapterConfig ParseAdapterConfig(std::string_view text, const std::string& where) {
  const Json object = ParseStrictJson(text, where);
  if (!object.is_object()) {
    throw Error({.where = where,
                 .what = "not a JSON object",
                 .found = ShownJson(object),
                 .expected = "{...}",
                 .hint = kTakeAgain});
  }
  return ConfigReader(object, where).Read();
}

std::string AdapterConfigText(const AdapterConfig& config) {
  STABLELM_CHECK(!config.targets.names.empty() && config.excluded.names.empty());
  const JsonValue off = nullptr;
  JsonValue text = JsonValue::Object();
  text["alpha_pattern"] = JsonValue::Object();
  text["base_model_name_or_path"] = config.base.empty() ? off : JsonValue(config.base);
  text["bias"] = "none";
  text["fan_in_fan_out"] = false;
  text["inference_mode"] = true;
  text["init_lora_weights"] = true;
  text["lora_alpha"] = config.alpha;
  text["lora_dropout"] = config.dropout;
  text["modules_to_save"] = off;
  text["peft_type"] = "LORA";
  text["r"] = config.rank;
  text["rank_pattern"] = JsonValue::Object();
  text["target_modules"] = JsonValue(config.targets.names);
  text["task_type"] = "CAUSAL_LM";
  text["use_dora"] = false;
  text["use_rslora"] = config.rslora;
  return text.Dump(2) + "\n";
}

}  // namespace stablelm
