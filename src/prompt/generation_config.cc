#include "prompt/generation_config.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

// Keys of transformers' GenerationConfig that this program does not support, with their neutral values (null and an
// empty list are always neutral).
struct Unfollowed {
  const char* name;
  const char* neutral;
};
constexpr Unfollowed kUnfollowed[] = {
    {"assistant_confidence_threshold", "0.4"},
    {"assistant_early_exit", "null"},
    {"constraints", "null"},
    {"diversity_penalty", "0.0"},
    {"dola_layers", "null"},
    {"early_stopping", "false"},
    {"encoder_no_repeat_ngram_size", "0"},
    {"encoder_repetition_penalty", "1.0"},
    {"force_words_ids", "null"},
    {"forced_bos_token_id", "null"},
    {"forced_decoder_ids", "null"},
    {"forced_eos_token_id", "null"},
    {"guidance_scale", "1.0"},
    {"length_penalty", "1.0"},
    {"max_length", "20"},
    {"max_time", "null"},
    {"num_beam_groups", "1"},
    {"num_beams", "1"},
    {"num_return_sequences", "1"},
    {"penalty_alpha", "0.0"},
    {"prefix_allowed_tokens_fn", "null"},
    {"prompt_lookup_num_tokens", "null"},
    {"remove_invalid_values", "false"},
    {"renormalize_logits", "false"},
    {"sequence_bias", "null"},
    {"stop_strings", "null"},
    {"token_healing", "false"},
    {"top_h", "null"},
    {"watermarking_config", "null"},
};

// Keys that do not affect the tokens or are read elsewhere.
constexpr std::string_view kHarmless[] = {
    "_from_model_config",
    "assistant_lookbehind",
    "bos_token_id",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "decoder_start_token_id",
    "disable_compile",
    "eos_token_id",
    "generation_kwargs",
    "is_assistant",
    "low_memory",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "output_attentions",
    "num_assistant_tokens_schedule",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "prefill_chunk_size",
    "return_dict_in_generate",
    "return_legacy_cache",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "use_model_defaults",
};

Json ParseObject(std::string_view json, const std::string& where) {
  Json root = ParseStrictJson(json, where, kMaxJsonDepth, HugeNumbers::kInfinite);
  if (root.is_object()) return root;
  throw Error({.where = where,
               .what = "not a generation configuration",
               .found = ShownJson(root),
               .expected = "a JSON object",
               .hint = "take the file of the original model, or remove it"});
}

// Reads transformers' pair [start, factor].
void ReadLengthDecay(const Json& value, const std::string& place, GenerationConfig& out) {
  if (!value.is_array() || value.size() != 2) {
    throw Error({.where = place, .what = "not a pair", .found = ShownJson(value), .expected = "[first token, factor]"});
  }
  size_t i = 0;
  for (const char* name : {"length_decay_start", "length_decay_factor"}) {
    out.values[name] = ReadSettingValue(value[i++], *FindSetting(name), place);
  }
}

// Runs the reader of one key. A bad value is ignored with a warning: the model runs without it.
void OrWarn(GenerationConfig& out, const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    out.warnings.push_back(error.Line() + "; ignored");
  }
}

// Handles a supported key or a known unsupported one; returns false for any other key. Throws Error for a bad value.
bool TakeKey(const std::string& key, const Json& value, const std::string& where, int64_t vocab_size,
             GenerationConfig& out) {
  const std::string place = where + ": \"" + key + "\"";
  if (const std::optional<SettingSpec> spec = FindSetting(key)) {
    if (!value.is_null()) out.values[key] = ReadSettingValue(value, *spec, place);
    return true;
  }
  if (ReadTokenList(key, value, place, vocab_size, out.token_lists)) return true;
  if (key == "exponential_decay_length_penalty") {
    if (!value.is_null()) ReadLengthDecay(value, place, out);
    return true;
  }
  for (const Unfollowed& one : kUnfollowed) {
    if (key != one.name) continue;
    const bool asks = !value.is_null() && !(value.is_array() && value.empty()) && value != Json::parse(one.neutral);
    if (asks) out.warnings.push_back(place + ": " + ShownJson(value) + " is not followed");
    return true;
  }
  return false;
}

// Each end id counts by itself: one that is no token ends nothing, and the others still do.
void ReadEnds(const Json& value, const std::string& place, int64_t vocab_size, GenerationConfig& out) {
  constexpr size_t kMostEnds = 1000;
  const Json list = value.is_array() ? value : Json::array({value});
  for (size_t i = 0; i < std::min(list.size(), kMostEnds); ++i) {
    OrWarn(out, [&] { out.eos_ids.push_back(ReadTokenIds(Json::array({list[i]}), place, vocab_size, 1)[0]); });
  }
  if (list.size() <= kMostEnds) return;
  out.warnings.push_back(place + ": " + std::to_string(list.size()) + " ids; those after the first " +
                         std::to_string(kMostEnds) + " are ignored");
}

}  // namespace

GenerationConfig ParseGenerationConfig(std::string_view json, const std::string& where, int64_t vocab_size) {
  const Json root = ParseObject(json, where);
  GenerationConfig out;
  for (const auto& [key, value] : root.items()) {
    bool taken = true;
    OrWarn(out, [&, &key = key, &value = value] { taken = TakeKey(key, value, where, vocab_size, out); });
    if (taken || value.is_null()) continue;
    if (key == "eos_token_id") {
      ReadEnds(value, where + ": \"eos_token_id\"", vocab_size, out);
    } else if (std::ranges::find(kHarmless, std::string_view(key)) == std::end(kHarmless)) {
      out.warnings.push_back(where + ": unknown key " + Quoted(key) + " ignored");
    }
  }
  return out;
}

GenerationConfig ParseLegacyGenerationKeys(std::string_view config_json, const std::string& where, int64_t vocab_size) {
  const Json root = ParseObject(config_json, where);
  GenerationConfig out;
  for (const auto& [key, value] : root.items()) {
    OrWarn(out, [&, &key = key, &value = value] { TakeKey(key, value, where, vocab_size, out); });
  }
  return out;
}

}  // namespace stablelm
