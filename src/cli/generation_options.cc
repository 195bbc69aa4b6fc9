#include "cli/generation_options.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace stablelm {
namespace {

// An option whose value becomes a setting.
void AddSetting(CLI::App& app, const std::string& name, const char* setting, SettingValues& values,
                const std::string& help) {
  const std::optional<SettingSpec> spec = FindSetting(setting);
  STABLELM_CHECK(spec);
  AddValue(app, name, "N", help, [&values, spec = *spec, name](const std::string& text) {
    values[std::string(spec.name)] = spec.kind == SettingKind::kReal
                                         ? ParseReal(text, name, spec.min, spec.max)
                                         : static_cast<double>(ParseInteger(text, name, static_cast<int64_t>(spec.min),
                                                                            static_cast<int64_t>(spec.max)));
  });
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

}  // namespace

void AddGenerationOptions(CLI::App& app, GenerationOptions& options) {
  SettingValues& values = options.wishes.options;
  AddSetting(app, "--max-new-tokens", "max_new_tokens", values,
             "Tokens to generate at most (default: up to the end of the model's context)");
  AddSetting(app, "--temperature", "temperature", values,
             "Draw from softmax(logits / N); 0 is greedy (default when drawing: 1, 0.7 for tuned models)");
  AddSetting(app, "--top-k", "top_k", values,
             "Draw among the N most likely tokens, ties included; 0 for all (default: 0, 50 for tuned models)");
  AddSetting(app, "--top-p", "top_p", values, "Draw among the most likely tokens whose probabilities reach N");
  AddFlag(app, "--greedy", options.greedy, "Always the most likely token, the lowest id among equals");
  AddChoice(app, "--preset", PresetNames(),
            "Settings of the model card, of Stability AI's notebook or chat Space, or none", [&options](size_t i) {
              constexpr Preset kInOrder[] = {Preset::kCard, Preset::kNotebook, Preset::kSpace, Preset::kGreedy};
              options.wishes.preset = kInOrder[i];
            });
  AddText(app, "--stop-id", "IDS", options.stop_ids,
          "Token ids that end the reply as well (\"7 8\"), beside those of the model's files");
  AddFlag(app, "--ignore-eos", options.ignore_eos, "Never choose an end token");
  AddFlag(app, "--allow-padding-ids", options.allow_padding_ids,
          "Allow ids above the tokenizer's largest, which have no text");
}

GenerationPlan PlanGeneration(const GenerationOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
                              const ModelDefaults& defaults, std::optional<PromptTemplate> prompt_template) {
  SettingWishes wishes = options.wishes;
  if (options.greedy) {
    if (AskForDraws(wishes.options) == true) {
      throw UsageError({.where = "--greedy",
                        .what = "contradicts --temperature, --top-k and --top-p, which ask for draws",
                        .found = {},
                        .expected = {},
                        .hint = "leave one of them out"});
    }
    wishes.options["do_sample"] = 0;
  }
  GenerationPlan plan;
  plan.settings = ResolveSettings(wishes, defaults);
  plan.stop_ids = ResolveStopIds(config, tokenizer, defaults, prompt_template, ParseIds(options.stop_ids, "--stop-id"));
  if (tokenizer && !options.allow_padding_ids) plan.padding_ids = PaddingIds(*tokenizer);
  return plan;
}

void GenerationPlan::Apply(bool ignore_eos, GenerateRequest& request) const {
  request.sampling = settings.sampling;
  request.max_new_tokens = settings.max_new_tokens;
  request.banned_ids = padding_ids;
  for (const StopId& stop : stop_ids) (ignore_eos ? request.banned_ids : request.stop_ids).push_back(stop.id);
}

void PrintPlan(const GenerationPlan& plan, const Tokenizer* tokenizer, const ModelDefaults& defaults, Output& out) {
  const auto spelling = [&](int32_t id) {
    return tokenizer ? std::string(tokenizer->TokenSpelling(id)) : std::string();
  };
  if (out.json()) {
    nlohmann::ordered_json settings = nlohmann::ordered_json::object(), stops = nlohmann::ordered_json::array();
    for (const SettingInForce& one : plan.settings.list) {
      settings[one.name] = {{"value", nlohmann::ordered_json::parse(ShownValue(*FindSetting(one.name), one.value))},
                            {"from", one.from}};
    }
    for (const StopId& stop : plan.stop_ids) {
      stops.push_back({{"id", stop.id}, {"token", spelling(stop.id)}, {"from", stop.from}});
    }
    nlohmann::ordered_json object = {{"settings", settings},
                                     {"stop_ids", stops},
                                     {"banned_padding_ids", plan.padding_ids.size()},
                                     {"template", nullptr},
                                     {"template_from", defaults.record_from}};
    if (defaults.record) object["template"] = NameOf(defaults.record->prompt_template);
    out.Json(object);
    return;
  }
  const auto line = [&](std::string name, std::string value, const std::string& from) {
    name.resize(std::max<size_t>(name.size() + 2, 20), ' ');
    value.resize(std::max<size_t>(value.size() + 2, 24), ' ');
    out.Text(name + value + from + "\n");
  };
  for (const SettingInForce& one : plan.settings.list) {
    line(one.name, ShownValue(*FindSetting(one.name), one.value), one.from);
  }
  for (const StopId& stop : plan.stop_ids) {
    const std::string token = spelling(stop.id);
    line("stop id", std::to_string(stop.id) + (token.empty() ? "" : " " + Quoted(token)), Joined(stop.from));
  }
  if (!plan.padding_ids.empty()) {
    line("never produced", std::to_string(plan.padding_ids.front()) + "-" + std::to_string(plan.padding_ids.back()),
         "ids without text (padding)");
  }
  if (defaults.record) line("template", NameOf(defaults.record->prompt_template), defaults.record_from);
}

}  // namespace stablelm
