#include "generate/batch/line_requests.h"

#include <cmath>

#include "base/error.h"
#include "base/json_value.h"
#include "base/utf8.h"
#include "generate/batch/prompt_run.h"
#include "generate/token_ids.h"

namespace stablelm {
namespace {

// The options, overridden by the parameters of the line.
GenerationOptions WithLine(GenerationOptions options, const PromptLine& line) {
  SettingValues& values = options.settings.values;
  // Make implied sampling explicit on both sides (a temperature implies do_sample), so that the line overrides the
  // options.
  if (options.greedy) {
    values["do_sample"] = 0;
    options.greedy = false;
  } else if (const std::optional<bool> draws = AsksForSampling(values)) {
    values["do_sample"] = *draws ? 1 : 0;
  }
  if (const std::optional<bool> draws = AsksForSampling(line.values)) values["do_sample"] = *draws ? 1 : 0;
  for (const auto& [name, value] : line.values) values[name] = value;
  options.stop_strings.insert(options.stop_strings.end(), line.stop_strings.begin(), line.stop_strings.end());
  options.stop_ids.insert(options.stop_ids.end(), line.stop_ids.begin(), line.stop_ids.end());
  options.logit_bias.insert(options.logit_bias.end(), line.logit_bias.begin(), line.logit_bias.end());
  if (line.token_lists.bad_words) options.token_lists.bad_words = line.token_lists.bad_words;
  if (line.token_lists.suppress) options.token_lists.suppress = line.token_lists.suppress;
  if (line.token_lists.begin_suppress) options.token_lists.begin_suppress = line.token_lists.begin_suppress;
  if (line.ignore_eos) options.ignore_eos = *line.ignore_eos;
  if (line.max_time_s) options.max_time_s = line.max_time_s;
  if (line.sampler_order) options.sampler_order = *line.sampler_order;
  return options;
}

}  // namespace

struct LineRequests::EncodedPrompt {
  std::vector<int32_t> ids;
  std::optional<PromptTemplate> prompt_template;
  std::optional<DroppedTurns> dropped;
};

LineRequests::LineRequests(LineOptions options, const ModelConfig& config, const Tokenizer* tokenizer,
                           const ModelDefaults& defaults)
    : options_(std::move(options)),
      config_(config),
      tokenizer_(tokenizer),
      defaults_(defaults),
      plan_(PlanGeneration(options_.generation, config, tokenizer, defaults, options_.chat.prompt_template)) {
  if (tokenizer) encoder_.emplace(*tokenizer);
}

// Checks only the line's ids: PlanGeneration checks those of the options and names the option.
void LineRequests::CheckStopIds(const PromptLine& line) const {
  for (const int32_t id : line.stop_ids) {
    if (id >= 0 && id < config_.vocab_size) continue;
    throw Error({.where = "stop_id",
                 .what = "token id out of range",
                 .found = std::to_string(id),
                 .expected = "0 to " + std::to_string(config_.vocab_size - 1),
                 .hint = "stablelm tokenize shows the ids of a text"});
  }
}

LineRequests::EncodedPrompt LineRequests::Encode(const PromptLine& line) {
  EncodedPrompt prompt;
  prompt.prompt_template = options_.chat.prompt_template;
  const ContextLimits limits =
      LimitsFor(options_.context_policy, options_.reserve, config_.max_positions, options_.longest_context);
  if (line.ids) {
    prompt.ids = *line.ids;
    RequireContext(static_cast<int64_t>(prompt.ids.size()), limits, "ids");
    CheckTokenIds(prompt.ids, config_, "ids");
    return prompt;
  }
  if (!tokenizer_) {
    throw Error({.where = line.prompt ? "prompt" : "messages",
                 .what = "the model has no tokenizer that can be read",
                 .expected = "a tokenizer, to turn text into ids",
                 .hint = "copy the model's tokenizer.json into its folder, or give \"ids\""});
  }
  if (line.prompt) {
    encoder_->Encode(*line.prompt, {.parse_special = options_.parse_special}, prompt.ids);
    RequireContext(static_cast<int64_t>(prompt.ids.size()), limits, "prompt");
    CheckTokenIds(prompt.ids, config_, "prompt");
    return prompt;
  }
  if (!prompt.prompt_template && defaults_.record) prompt.prompt_template = defaults_.record->prompt_template;
  ChatSetup setup =
      ResolveChatSetup(options_.chat, defaults_.record, defaults_.record_from, defaults_.template_by_tokens);
  RequireQuestion(*line.messages, {});
  const Conversation conversation = WithSystemMessage(*line.messages, setup);
  if (!builder_) builder_.emplace(*tokenizer_, setup.prompt_template);
  FittedPrompt fitted = FitPrompt(*builder_, conversation, limits, *encoder_);
  prompt.ids = std::move(fitted.prompt.ids);
  prompt.dropped = {.messages = fitted.dropped_messages, .tokens = fitted.dropped_tokens};
  return prompt;
}

LineRequest LineRequests::Of(std::string_view text, uint64_t index) {
  std::string repaired;
  if (options_.replace_invalid && utf8::FirstInvalid(text) != utf8::kValid) {
    repaired = utf8::ReplaceInvalid(text);
    text = repaired;
  }
  const PromptLine line = ParsePromptLine(text);
  CheckStopIds(line);
  const GenerationOptions generation = WithLine(options_.generation, line);
  EncodedPrompt prompt = Encode(line);
  LineRequest out;
  out.dropped = prompt.dropped;
  out.request.prompt_logprobs = options_.prompt_logprobs;
  GenerateRequest& request = out.request.generate;
  PlanGeneration(generation, config_, tokenizer_, defaults_, prompt.prompt_template)
      .Apply(generation.ignore_eos, request);
  request.prompt = std::move(prompt.ids);
  request.seed = line.seed.value_or(SeedOfPrompt(options_.seed, index));
  request.top_logprobs = options_.top_logprobs;
  if (tokenizer_) request.tokenizer = *tokenizer_;
  return out;
}

std::map<std::string, std::string> LineRequests::Parameters() const {
  const GenerationOptions& generation = options_.generation;
  std::map<std::string, std::string> out;
  for (const ResolvedSetting& one : plan_.settings.list) {
    out[one.name] = ShownValue(*FindSetting(one.name), one.value);
  }
  // With sorted keys, as in a record that was read back.
  const auto add = [&](const char* name, const JsonValue& value) { out[name] = value.Dump(); };
  std::map<std::string, JsonValue> biases;
  for (const LogitBias& bias : generation.logit_bias) {
    biases[std::to_string(bias.id)] = std::isinf(bias.bias) ? JsonValue("-inf") : JsonValue(bias.bias);
  }
  JsonValue stops = JsonValue::Array();
  for (const StopId& stop : plan_.stop_ids) stops.push_back(stop.id);
  add("sampler_order", generation.sampler_order);
  add("logit_bias", biases);
  const TokenLists& lists = generation.token_lists;
  if (lists.bad_words) add("bad_words_ids", *lists.bad_words);
  if (lists.suppress) add("suppress_tokens", *lists.suppress);
  if (lists.begin_suppress) add("begin_suppress_tokens", *lists.begin_suppress);
  add("stop_id", stops);
  add("stop", generation.stop_strings);
  add("ignore_eos", generation.ignore_eos);
  add("allow_padding_ids", generation.allow_padding_ids);
  if (generation.max_time_s) add("max_time", *generation.max_time_s);
  if (options_.chat.system) add("system", *options_.chat.system);
  add("no_system", options_.chat.no_system);
  if (options_.chat.prompt_template) add("template", NameOf(*options_.chat.prompt_template));
  add("context_policy", NameOf(options_.context_policy));
  if (options_.reserve) add("reserve", *options_.reserve);
  add("replace_invalid_utf8", options_.replace_invalid);
  add("parse_special", options_.parse_special);
  add("n", options_.samples);
  add("top_logprobs", options_.top_logprobs);
  add("prompt_logprobs", options_.prompt_logprobs);
  return out;
}

}  // namespace stablelm
