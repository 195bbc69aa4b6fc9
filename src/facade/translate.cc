#include "facade/translate.h"

#include "base/error.h"
#include "facade/guard.h"
#include "prompt/setting_values.h"

namespace stablelm {
namespace {

struct WeightTypeName {
  WeightType type;
  const char* name;
};
constexpr WeightTypeName kWeightTypes[] = {
    {WeightType::kStored, "stored"}, {WeightType::kFp32, "fp32"}, {WeightType::kFp16, "fp16"},
    {WeightType::kBf16, "bf16"},     {WeightType::kQ8_0, "Q8_0"}, {WeightType::kQ6_K, "Q6_K"},
    {WeightType::kQ5_K_M, "Q5_K_M"}, {WeightType::kQ5_K, "Q5_K"}, {WeightType::kQ4_K_M, "Q4_K_M"},
    {WeightType::kQ4_K, "Q4_K"},     {WeightType::kQ4_0, "Q4_0"},
};

using S = GenerationSettings;
constexpr SettingField kFields[] = {
    {"do_sample", &S::do_sample},
    {"temperature", &S::temperature},
    {"top_k", &S::top_k},
    {"top_p", &S::top_p},
    {"min_p", &S::min_p},
    {"typical_p", &S::typical_p},
    {"epsilon_cutoff", &S::epsilon_cutoff},
    {"eta_cutoff", &S::eta_cutoff},
    {"top_n_sigma", &S::top_n_sigma},
    {"xtc_probability", &S::xtc_probability},
    {"xtc_threshold", &S::xtc_threshold},
    {"dynatemp_range", &S::dynatemp_range},
    {"dynatemp_exponent", &S::dynatemp_exponent},
    {"mirostat", &S::mirostat},
    {"mirostat_tau", &S::mirostat_tau},
    {"mirostat_eta", &S::mirostat_eta},
    {"repetition_penalty", &S::repetition_penalty},
    {"presence_penalty", &S::presence_penalty},
    {"frequency_penalty", &S::frequency_penalty},
    {"penalty_last_n", &S::penalty_last_n},
    {"dry_multiplier", &S::dry_multiplier},
    {"dry_base", &S::dry_base},
    {"dry_allowed_length", &S::dry_allowed_length},
    {"dry_last_n", &S::dry_last_n},
    {"no_repeat_ngram_size", &S::no_repeat_ngram_size},
    {"min_length", &S::min_length},
    {"min_new_tokens", &S::min_new_tokens},
    {"length_decay_start", &S::length_decay_start},
    {"length_decay_factor", &S::length_decay_factor},
    {"max_new_tokens", &S::max_new_tokens},
};

std::optional<Preset> PresetOf(SamplingPreset preset) {
  switch (preset) {
    case SamplingPreset::kModel:
      return std::nullopt;
    case SamplingPreset::kCard:
      return Preset::kCard;
    case SamplingPreset::kNotebook:
      return Preset::kNotebook;
    case SamplingPreset::kSpace:
      return Preset::kSpace;
    case SamplingPreset::kGreedy:
      return Preset::kGreedy;
  }
  STABLELM_CHECK(false);
}

EndReason ReasonOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return EndReason::kStop;
    case FinishReason::kLength:
      return EndReason::kLength;
    case FinishReason::kContext:
      return EndReason::kContext;
    case FinishReason::kCancelled:
      return EndReason::kCancelled;
    case FinishReason::kTime:
      return EndReason::kTime;
  }
  STABLELM_CHECK(false);
}

Role RoleOf(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return Role::kSystem;
    case ChatRole::kUser:
      return Role::kUser;
    case ChatRole::kAssistant:
      return Role::kAssistant;
  }
  STABLELM_CHECK(false);
}

}  // namespace

const char* NameOf(WeightType type) {
  for (const WeightTypeName& one : kWeightTypes) {
    if (one.type == type) return one.name;
  }
  STABLELM_CHECK(false);
}

const char* NameOf(EndReason reason) {
  for (const FinishReason one : {FinishReason::kStop, FinishReason::kLength, FinishReason::kContext,
                                 FinishReason::kCancelled, FinishReason::kTime}) {
    if (ReasonOf(one) == reason) return NameOf(one);
  }
  STABLELM_CHECK(false);
}

const char* NameOf(ChatTemplate chat_template) {
  const std::optional<PromptTemplate> one = TemplateOf(chat_template);
  return one ? NameOf(*one) : "model";
}

WeightsWanted WeightsOf(WeightType type) {
  switch (type) {
    case WeightType::kStored:
      return {};
    case WeightType::kFp32:
      return {.dtype = DType::kF32};
    case WeightType::kFp16:
      return {.dtype = DType::kF16};
    case WeightType::kBf16:
      return {.dtype = DType::kBF16};
    default:
      return {.mix = &QuantMixByName(NameOf(type), "weights")};
  }
}

DType CacheTypeOf(CacheType type) {
  switch (type) {
    case CacheType::kFp32:
      return DType::kF32;
    case CacheType::kFp16:
      return DType::kF16;
    case CacheType::kQ8:
      return DType::kI8;
  }
  STABLELM_CHECK(false);
}

std::span<const SettingField> SettingFields() { return kFields; }

GenerationOptions OptionsOf(const GenerationSettings& settings) {
  GenerationOptions options;
  for (const SettingField& one : kFields) {
    const std::string name(one.name);
    std::visit(
        [&](const auto& field) {
          const auto& value = settings.*field;
          if (!value) return;
          const auto number = static_cast<double>(*value);
          CheckSettingValue(number, *FindSetting(name), name);
          options.settings.values[name] = number;
        },
        one.field);
  }
  options.settings.preset = PresetOf(settings.preset);
  for (const TokenBias& one : settings.logit_bias) options.logit_bias.push_back({.id = one.id, .bias = one.bias});
  options.token_lists = {.bad_words = settings.bad_words_ids,
                         .suppress = settings.suppress_tokens,
                         .begin_suppress = settings.begin_suppress_tokens};
  options.stop_ids = settings.stop_ids;
  options.stop_strings = settings.stop;
  options.max_time_s = settings.max_time_s;
  options.ignore_eos = settings.ignore_end;
  return options;
}

std::optional<PromptTemplate> TemplateOf(ChatTemplate chat_template) {
  switch (chat_template) {
    case ChatTemplate::kModel:
      return std::nullopt;
    case ChatTemplate::kStableLmTuned:
      return PromptTemplate::kStableLmTuned;
    case ChatTemplate::kDollyV2:
      return PromptTemplate::kDollyV2;
    case ChatTemplate::kOasstNeox:
      return PromptTemplate::kOasstNeox;
    case ChatTemplate::kAlpaca:
      return PromptTemplate::kAlpaca;
    case ChatTemplate::kNone:
      return PromptTemplate::kNone;
  }
  STABLELM_CHECK(false);
}

ChatTemplate ChatTemplateOf(PromptTemplate prompt_template) {
  switch (prompt_template) {
    case PromptTemplate::kStableLmTuned:
      return ChatTemplate::kStableLmTuned;
    case PromptTemplate::kDollyV2:
      return ChatTemplate::kDollyV2;
    case PromptTemplate::kOasstNeox:
      return ChatTemplate::kOasstNeox;
    case PromptTemplate::kAlpaca:
      return ChatTemplate::kAlpaca;
    case PromptTemplate::kNone:
      return ChatTemplate::kNone;
  }
  STABLELM_CHECK(false);
}

ChatOptions ChatOptionsOf(const ChatSettings& settings) {
  return {.prompt_template = TemplateOf(settings.prompt_template),
          .system = settings.system,
          .no_system = settings.no_system};
}

ContextPolicy PolicyOf(OverflowPolicy policy) {
  switch (policy) {
    case OverflowPolicy::kError:
      return ContextPolicy::kError;
    case OverflowPolicy::kDropOldestTurns:
      return ContextPolicy::kDropOldestTurns;
    case OverflowPolicy::kShift:
      return ContextPolicy::kShift;
    case OverflowPolicy::kStop:
      return ContextPolicy::kStop;
  }
  STABLELM_CHECK(false);
}

Conversation ConversationOf(const std::vector<ChatMessage>& messages) {
  Conversation conversation;
  for (const ChatMessage& message : messages) {
    conversation.push_back({.role = RoleOf(message.role), .text = message.text});
  }
  return conversation;
}

std::vector<Alternative> AlternativesOf(std::span<const TokenLogprob> top) {
  std::vector<Alternative> out;
  out.reserve(top.size());
  for (const TokenLogprob& one : top) out.push_back({.id = one.id, .logprob = one.logprob});
  return out;
}

std::vector<std::vector<Alternative>> AlternativesOf(const std::vector<std::vector<TokenLogprob>>& tops) {
  std::vector<std::vector<Alternative>> out;
  out.reserve(tops.size());
  for (const std::vector<TokenLogprob>& top : tops) out.push_back(AlternativesOf(top));
  return out;
}

Generation GenerationOf(const GenerateResult& result, const GenerateRequest& request) {
  return {.ids = result.ids,
          .logprobs = result.logprobs,
          .top = AlternativesOf(result.top),
          .text = result.text,
          .reason = ReasonOf(result.reason),
          .stop_id = result.stop.id,
          .stop = result.stop.string,
          .seed = request.seed,
          .prompt_tokens = static_cast<int64_t>(request.prompt.size()),
          .known_tokens = result.known_positions,
          .prompt_s = result.prefill_s,
          .reply_s = result.decode_s,
          .shifted_tokens = result.shifted_tokens};
}

ReplyCallbacks CallsOf(const GenerationCallbacks& callbacks) {
  ReplyCallbacks calls;
  if (callbacks.on_token) {
    calls.on_token = [&callbacks](const ChosenToken& token) {
      const std::vector<Alternative> alternatives = AlternativesOf(token.top);
      CallBack([&] { callbacks.on_token({.id = token.id, .logprob = token.logprob, .alternatives = alternatives}); });
    };
  }
  if (callbacks.on_text) {
    calls.on_text = [&callbacks](std::string_view text) { CallBack([&] { callbacks.on_text(text); }); };
  }
  return calls;
}

}  // namespace stablelm
