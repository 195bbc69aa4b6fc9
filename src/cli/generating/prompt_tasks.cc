#include "cli/generating/prompt_tasks.h"

#include <cmath>

#include "base/error.h"
#include "base/json_value.h"
#include "base/utf8.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "cli/app/setting_flags.h"
#include "cli/generating/generate_run.h"
#include "generate/batch/prompt_line.h"
#include "generate/token_ids.h"
#include "ops/kv_layout.h"

namespace stablelm {
namespace {

std::string Dumped(const JsonValue& object) { return object.Dump(); }

// The options as if the line's parameters had been given with them, after them.
GenerationOptions WithLine(GenerationOptions options, const PromptLine& line) {
  SettingValues& values = options.wishes.options;
  // What a side asks for without saying so (a temperature is a wish for draws) is said, so that the line's word counts.
  if (options.greedy) {
    values["do_sample"] = 0;
    options.greedy = false;
  } else if (const std::optional<bool> draws = AskForDraws(values)) {
    values["do_sample"] = *draws ? 1 : 0;
  }
  if (const std::optional<bool> draws = AskForDraws(line.values)) values["do_sample"] = *draws ? 1 : 0;
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

// What a line says beside its replies.
struct LineFacts {
  uint64_t index = 0;
  std::string place;
  uint64_t seed = 0;
  size_t prompt_tokens = 0;
  std::optional<FittedPrompt> fitted;  // without its prompt
};

std::string LineOf(const LineFacts& facts, const ReplyDetails& details, const ReplyJson& reply,
                   const std::vector<int32_t>& prompt, std::span<const EngineResult> results) {
  size_t generated = 0;
  for (const EngineResult& result : results) {
    if (!result.error.empty()) return PromptTasks::ErrorLine(facts.index, facts.place, result.error);
    generated += result.generated.ids.size();
  }
  JsonValue object = {{"index", facts.index}};
  if (details.echo) object["prompt_ids"] = prompt;
  reply.AddPromptLogprobs(results[0], object);
  if (results.size() == 1) {
    object.Update(reply.Of(results[0].generated));
  } else {
    object["choices"] = reply.Choices(results);
  }
  object["seed"] = facts.seed;
  object["counts"] = {{"prompt", facts.prompt_tokens}, {"generated", generated}};
  if (facts.fitted) {
    object["dropped"] = {{"messages", facts.fitted->dropped_messages}, {"tokens", facts.fitted->dropped_tokens}};
  }
  return Dumped(object);
}

}  // namespace

struct PromptTasks::Prompt {
  std::vector<int32_t> ids;
  std::optional<PromptTemplate> prompt_template;
  std::optional<FittedPrompt> fitted;
};

PromptTasks::PromptTasks(PromptTaskSettings settings, const ModelConfig& config, const Tokenizer* tokenizer,
                         const ModelDefaults& defaults)
    : settings_(std::move(settings)),
      config_(config),
      tokenizer_(tokenizer),
      defaults_(defaults),
      wishes_(WishesOf(settings_.conversation)),
      plan_(PlanGeneration(settings_.generation, config, tokenizer, defaults, settings_.conversation.prompt_template)) {
  if (tokenizer) encoder_.emplace(*tokenizer);
}

std::string PromptTasks::ErrorLine(uint64_t index, const std::string& place, std::string_view what) {
  std::string text = place + ": " + WithFlags(what);
  // One line: an Error has its hint on a second one.
  constexpr std::string_view kHint = "\nhint:  ";
  if (const size_t hint = text.find(kHint); hint != std::string::npos) text.replace(hint, kHint.size(), "; hint: ");
  return Dumped({{"index", index}, {"error", text}});
}

std::variant<PromptTask, std::string> PromptTasks::Of(std::string_view line, uint64_t index, const std::string& place) {
  try {
    return Task(line, index, place);
  } catch (const Error& e) {
    return ErrorLine(index, place, e.what());
  }
}

// Those of the option are named by the option.
void PromptTasks::CheckStopIds(const PromptLine& line) const {
  for (const int32_t id : line.stop_ids) {
    if (id >= 0 && id < config_.vocab_size) continue;
    throw Error({.where = "stop_id",
                 .what = "token id out of range",
                 .found = std::to_string(id),
                 .expected = "0 to " + std::to_string(config_.vocab_size - 1)});
  }
}

PromptTasks::Prompt PromptTasks::PromptOf(const PromptLine& line) {
  Prompt prompt;
  prompt.prompt_template = settings_.conversation.prompt_template;
  const ContextLimits limits = LimitsOf(settings_.conversation, config_.max_positions);
  if (line.ids) {
    prompt.ids = *line.ids;
    CheckTokenIds(prompt.ids, config_, "ids");
    RequireContext(static_cast<int64_t>(prompt.ids.size()), limits, "ids");
    return prompt;
  }
  if (!tokenizer_) {
    throw Error({.where = line.prompt ? "prompt" : "messages",
                 .what = "tokenizer.json is missing",
                 .expected = "a tokenizer, to turn text into ids",
                 .hint = "copy the model's tokenizer.json into its folder, or give \"ids\""});
  }
  if (line.prompt) {
    encoder_->Encode(*line.prompt, {.parse_special = settings_.parse_special}, prompt.ids);
    CheckTokenIds(prompt.ids, config_, "prompt");
    RequireContext(static_cast<int64_t>(prompt.ids.size()), limits, "prompt");
    return prompt;
  }
  if (!prompt.prompt_template && defaults_.record) prompt.prompt_template = defaults_.record->prompt_template;
  ChatSetup setup = ResolveChatSetup(wishes_, defaults_);
  RequireQuestion(*line.messages, {});
  const Conversation conversation = WithSystemMessage(*line.messages, setup);
  if (!builder_) builder_.emplace(*tokenizer_, setup.prompt_template);
  prompt.fitted = FitPrompt(*builder_, conversation, limits);
  prompt.ids = std::move(prompt.fitted->prompt.ids);
  prompt.fitted->prompt = {};
  return prompt;
}

PromptTask PromptTasks::Task(std::string_view text, uint64_t index, const std::string& place) {
  std::string repaired;
  if (settings_.conversation.replace_invalid && utf8::FirstInvalid(text) != utf8::kValid) {
    repaired = utf8::ReplaceInvalid(text);
    text = repaired;
  }
  const PromptLine line = ParsePromptLine(text);
  CheckStopIds(line);
  const GenerationOptions options = WithLine(settings_.generation, line);
  Prompt prompt = PromptOf(line);
  PromptTask task;
  task.samples = settings_.samples;
  task.request.prompt_logprobs = settings_.details.prompt_logprobs;
  GenerateRequest& request = task.request.generate;
  PlanGeneration(options, config_, tokenizer_, defaults_, prompt.prompt_template).Apply(options.ignore_eos, request);
  RequireDraws(settings_.samples, request.sampling);
  request.prompt = std::move(prompt.ids);
  request.seed = line.seed.value_or(SeedOfPrompt(settings_.seed, index));
  request.top_logprobs = settings_.details.top_logprobs;
  if (tokenizer_) request.tokenizer = *tokenizer_;
  const bool echo = settings_.details.echo;
  const LineFacts facts = {.index = index,
                           .place = place,
                           .seed = request.seed,
                           .prompt_tokens = request.prompt.size(),
                           .fitted = std::move(prompt.fitted)};
  task.line = [facts, details = settings_.details, tokenizer = tokenizer_,
               ids = echo ? request.prompt : std::vector<int32_t>()](std::span<const EngineResult> results) {
    return LineOf(facts, details, ReplyJson(details, tokenizer, ids), ids, results);
  };
  return task;
}

std::map<std::string, std::string> PromptTasks::Parameters(const CommonOptions& common) const {
  const GenerationOptions& options = settings_.generation;
  const ConversationInput& chat = settings_.conversation;
  std::map<std::string, std::string> out;
  for (const SettingInForce& one : plan_.settings.list) {
    out[one.name] = ShownValue(*FindSetting(one.name), one.value);
  }
  const auto add = [&](const char* name, const JsonValue& value) { out[name] = value.Dump(); };
  // With sorted keys, as they come back from the record.
  std::map<std::string, JsonValue> sorted;
  for (const LogitBias& bias : options.logit_bias) {
    sorted[std::to_string(bias.id)] = std::isinf(bias.bias) ? JsonValue("-inf") : JsonValue(bias.bias);
  }
  JsonValue biases = JsonValue::Object(), stops = JsonValue::Array();
  for (const auto& [id, bias] : sorted) biases[id] = bias;
  for (const StopId& stop : plan_.stop_ids) stops.push_back(stop.id);
  add("dtype", common.dtype ? NameOf(*common.dtype) : "stored");
  if (common.quantize) add("quantize", common.quantize->name);
  add("compute", NameOf(common.compute));
  add("kv", KvTypeName(common.kv));
  if (common.activation) add("activation", *common.activation == Activation::kGeluErf ? "gelu" : "gelu_tanh");
  add("sampler_order", options.sampler_order);
  add("logit_bias", biases);
  const TokenLists& lists = options.token_lists;
  if (lists.bad_words) add("bad_words_ids", *lists.bad_words);
  if (lists.suppress) add("suppress_tokens", *lists.suppress);
  if (lists.begin_suppress) add("begin_suppress_tokens", *lists.begin_suppress);
  add("stop_id", stops);
  add("stop", options.stop_strings);
  add("ignore_eos", options.ignore_eos);
  add("allow_padding_ids", options.allow_padding_ids);
  if (options.max_time_s) add("max_time", *options.max_time_s);
  if (wishes_.system) add("system", *wishes_.system);
  add("no_system", chat.no_system);
  if (chat.prompt_template) add("template", NameOf(*chat.prompt_template));
  add("context_policy", NameOf(chat.policy));
  if (chat.reserve) add("reserve", *chat.reserve);
  add("replace_invalid_utf8", chat.replace_invalid);
  add("parse_special", settings_.parse_special);
  add("n", settings_.samples);
  add("logprobs", settings_.details.logprobs);
  add("top_logprobs", settings_.details.top_logprobs);
  add("prompt_logprobs", settings_.details.prompt_logprobs);
  add("echo", settings_.details.echo);
  return out;
}

}  // namespace stablelm
