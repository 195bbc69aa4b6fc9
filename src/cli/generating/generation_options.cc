#include "cli/generating/generation_options.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"

namespace stablelm {
namespace {

// Returns "--top-k" for top_k.
std::string OptionOf(std::string_view setting) {
  std::string name = "--" + std::string(setting);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// Adds the option for a setting.
void AddSetting(CLI::App& app, std::string_view setting, SettingValues& values, const std::string& more_help = {},
                bool* zero = nullptr) {
  const std::optional<SettingSpec> spec = FindSetting(setting);
  STABLELM_CHECK(spec);
  const std::string option = OptionOf(setting);
  AddValue(app, option, spec->kind == SettingKind::kFlag ? "true|false" : "N", std::string(spec->help) + more_help,
           [&values, spec = *spec, option, zero](const std::string& text) {
             if (zero) *zero = text == "0";
             if (zero && *zero) return;
             values[std::string(spec.name)] = ParseSettingValue(spec, text, option);
           });
}

// Parses "12=-5" or "12=-inf".
LogitBias ParseBias(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    throw UsageError({.where = "--logit-bias",
                      .what = "not a token id and its bias",
                      .found = Quoted(text),
                      .expected = "ID=N, such as 12=-5 or 12=-inf"});
  }
  const std::string value = text.substr(equals + 1);
  return {
      .id = static_cast<int32_t>(ParseInteger(text.substr(0, equals), "--logit-bias", 0, INT32_MAX)),
      .bias = value == "-inf" ? -std::numeric_limits<double>::infinity() : ParseReal(value, "--logit-bias", -1e6, 1e6)};
}

}  // namespace

double ParseSettingValue(const SettingSpec& spec, const std::string& text, const std::string& where) {
  if (spec.kind == SettingKind::kReal) return ParseReal(text, where, spec.min, spec.max);
  if (spec.kind == SettingKind::kWhole) {
    return static_cast<double>(
        ParseInteger(text, where, static_cast<int64_t>(spec.min), static_cast<int64_t>(spec.max)));
  }
  if (text == "true" || text == "false") return text == "true" ? 1 : 0;
  throw UsageError({.where = where, .what = "not a flag", .found = Quoted(text), .expected = "true or false"});
}

void AddGenerationOptions(CLI::App& app, GenerationOptions& options, bool* no_reply) {
  SettingValues& values = options.settings.values;
  BeginGroup(app, "How tokens are chosen");
  AddSetting(app, "max_new_tokens", values, " (default: the model's own limit; -1: up to the end of the context)",
             no_reply);
  AddSetting(app, "do_sample", values, " (default: as the model's files or the settings below ask)");
  for (const auto& [name, field] : SamplingFields()) {
    std::string more_help;
    if (name == "temperature") more_help = " (default when sampling: 1, for tuned models 0.7)";
    if (name == "top_k") more_help = " (default for tuned models: 50)";
    AddSetting(app, name, values, more_help);
  }
  AddText(app, "--sampler-order", "ORDER", options.sampler_order,
          "Order of the steps above: hf (default), llama, or a list of their names");
  AddValues(app, "--logit-bias", "ID=N", "Add N to the score of token ID; -inf bans it",
            [&options](const std::string& text) { options.logit_bias.push_back(ParseBias(text)); });
  AddValues(app, "--bad-words-ids", "IDS",
            "Never produce these token ids in a row (\"5\", \"5 6 7\"); in place of the model's list",
            [&lists = options.token_lists](const std::string& text) {
              if (!lists.bad_words) lists.bad_words.emplace();
              lists.bad_words->push_back(ParseIds(text, "--bad-words-ids"));
            });
  const auto add_ids = [&app](const char* name, std::optional<std::vector<int32_t>>& list, const std::string& help) {
    AddValues(app, name, "IDS", help, [name, &list](const std::string& text) {
      if (!list) list.emplace();
      const std::vector<int32_t> ids = ParseIds(text, name);
      list->insert(list->end(), ids.begin(), ids.end());
    });
  };
  add_ids("--suppress-tokens", options.token_lists.suppress,
          "Never produce these token ids; in place of the model's list");
  add_ids("--begin-suppress-tokens", options.token_lists.begin_suppress,
          "Never produce these token ids as the first one; in place of the model's list");
  AddFlag(app, "--greedy", options.greedy, "Always the most likely token, the lowest id among equals");
  AddChoice(app, "--preset", PresetNames(),
            "Settings of the model card, of Stability AI's notebook or chat Space, or none",
            [&options](size_t i) { options.settings.preset = PresetOf(PresetNames()[i]); });
  BeginGroup(app, "Where the reply ends");
  AddValues(app, "--stop-id", "IDS",
            "Token ids that end the reply as well (\"7 8\"), besides those of the model's files",
            [&options](const std::string& text) {
              const std::vector<int32_t> ids = ParseIds(text, "--stop-id");
              options.stop_ids.insert(options.stop_ids.end(), ids.begin(), ids.end());
            });
  AddValues(app, "--stop", "TEXT", "End before this text; it may span tokens, and no part of it is shown",
            [&options](const std::string& text) {
              options.stop_strings.push_back(CheckedUtf8(text, "--stop", false));
              if (text.empty()) {
                throw UsageError({.where = "--stop", .what = "empty", .expected = "a text"});
              }
            });
  AddNumber(app, "--max-time", options.max_time_s, Limits<double>{1e-3, 1e9},
            "No further token after N seconds; there is always one");
  AddFlag(app, "--ignore-eos", options.ignore_eos, "Never choose an end token");
  AddFlag(app, "--allow-padding-ids", options.allow_padding_ids,
          "Allow ids above the tokenizer's largest, which have no text");
}

void PrintPlan(const GenerationPlan& plan, ModelOfCommand& model, const ModelDefaults& defaults, Output& out) {
  const Tokenizer* tokenizer = model.tokenizer();
  const std::span<const AdapterChoice> adapters = model.adapters();
  const int64_t vocab_size = model.config().vocab_size;
  const int64_t padding = plan.known_ids > 0 ? vocab_size - plan.known_ids : 0;
  const auto unused = [greedy = plan.settings.sampling.Greedy()](const ResolvedSetting& one) {
    return greedy && FindSetting(one.name)->sampling_only;
  };
  const auto spelling = [&](int32_t id) {
    return tokenizer ? std::string(tokenizer->TokenSpelling(id)) : std::string();
  };
  if (out.json()) {
    JsonValue settings = JsonValue::Object(), stops = JsonValue::Array();
    for (const ResolvedSetting& one : plan.settings.list) {
      settings[one.name] = {{"value", SettingJson(*FindSetting(one.name), one.value)}, {"from", one.from}};
      if (unused(one)) settings[one.name]["unused"] = "greedy";
    }
    for (const StopId& stop : plan.stop_ids) {
      stops.push_back({{"id", stop.id}, {"token", spelling(stop.id)}, {"from", stop.from}});
    }
    JsonValue biases = JsonValue::Array();
    for (const LogitBias& one : plan.settings.sampling.logit_bias) {
      JsonValue bias = {{"id", one.id}, {"token", spelling(one.id)}, {"bias", nullptr}};
      if (std::isfinite(one.bias)) bias["bias"] = one.bias;  // null: banned
      biases.push_back(bias);
    }
    JsonValue lists = JsonValue::Object();
    for (const ResolvedTokenList& one : plan.token_lists) {
      lists[one.name] = {{"entries", one.entries}, {"from", one.from}};
    }
    JsonValue object = {{"settings", settings}, {"token_lists", lists},
                        {"stop_ids", stops},    {"stop_strings", plan.stop_strings},
                        {"logit_bias", biases}, {"banned_padding_ids", padding},
                        {"template", nullptr},  {"template_from", defaults.record_from}};
    if (defaults.record) object["template"] = NameOf(defaults.record->prompt_template);
    if (model.bundled()) object["bundled_model"] = model.source().path().string();
    if (!adapters.empty()) object["lora"] = AdaptersJson(adapters);
    out.Json(object);
    return;
  }
  const auto line = [&](std::string name, std::string value, const std::string& from) {
    name.resize(std::max<size_t>(name.size() + 2, 20), ' ');
    value.resize(std::max<size_t>(value.size() + 2, 24), ' ');
    out.Text(name + value + from + "\n");
  };
  if (model.bundled()) {
    line("model", model.source().path().filename().string(),
         "the small demonstration that comes with stablelm, since none was named");
  }
  for (const ResolvedSetting& one : plan.settings.list) {
    line(one.name, ShownValue(*FindSetting(one.name), one.value), one.from + (unused(one) ? " (unused: greedy)" : ""));
  }
  for (const ResolvedTokenList& one : plan.token_lists) {
    line(one.name, Counted(one.entries, "entry", "entries"), one.from);
  }
  for (const StopId& stop : plan.stop_ids) {
    const std::string token = spelling(stop.id);
    line("stop id", std::to_string(stop.id) + (token.empty() ? "" : " " + Quoted(token)), Joined(stop.from));
  }
  for (const std::string& text : plan.stop_strings) line("stop", Quoted(text), "option");
  for (const LogitBias& one : plan.settings.sampling.logit_bias) {
    const std::string token = spelling(one.id);
    const std::string bias = std::isfinite(one.bias) ? JsonValue(one.bias).Dump() : "-inf";
    line("logit bias", std::to_string(one.id) + (token.empty() ? "" : " " + Quoted(token)) + " " + bias, "option");
  }
  if (padding > 0) {
    line("never produced", std::to_string(plan.known_ids) + "-" + std::to_string(vocab_size - 1),
         "ids without text (padding)");
  }
  if (defaults.record) line("template", NameOf(defaults.record->prompt_template), defaults.record_from);
  for (const AdapterChoice& adapter : adapters) {
    line("lora", "rank " + std::to_string(adapter.folder->config().rank) + ", scale " + NumberText(adapter.scale),
         adapter.folder->path().string() + ", SHA-256 " + adapter.folder->Sha256());
  }
}

}  // namespace stablelm
