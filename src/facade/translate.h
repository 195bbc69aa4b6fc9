// The public settings in the terms of the floors below, and their results in the public ones. A setting that is out of
// range throws Error, which names its field.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/rewrite/quant_mix.h"
#include "generate/reply.h"
#include "generate/settings/generation_plan.h"
#include "prompt/chat_setup.h"
#include "prompt/context_policy.h"
#include "stablelm/stablelm.h"

namespace stablelm {

// WeightType: a float type, or a mix to quantize to, or neither for kStored.
struct WeightsWanted {
  std::optional<DType> dtype = {};
  const QuantMix* mix = nullptr;
};
WeightsWanted WeightsOf(WeightType type);
DType CacheTypeOf(CacheType type);

// A field of GenerationSettings that is a setting of prompt/setting_table.h.
struct SettingField {
  std::string_view name;
  std::variant<std::optional<double> GenerationSettings::*, std::optional<int64_t> GenerationSettings::*,
               std::optional<bool> GenerationSettings::*>
      field;
};
std::span<const SettingField> SettingFields();  // all of the table, in its order
GenerationOptions OptionsOf(const GenerationSettings& settings);

std::optional<PromptTemplate> TemplateOf(ChatTemplate chat_template);  // no value for kModel
ChatTemplate ChatTemplateOf(PromptTemplate prompt_template);
ChatOptions ChatOptionsOf(const ChatSettings& settings);
ContextPolicy PolicyOf(OverflowPolicy policy);
Conversation ConversationOf(const std::vector<ChatMessage>& messages);

std::vector<Alternative> AlternativesOf(std::span<const TokenLogprob> top);
std::vector<std::vector<Alternative>> AlternativesOf(const std::vector<std::vector<TokenLogprob>>& tops);
// `request`: the one that gave the result.
Generation GenerationOf(const GenerateResult& result, const GenerateRequest& request);
// Valid as long as `callbacks`; throws CallbackFailure.
ReplyCallbacks CallsOf(const GenerationCallbacks& callbacks);

}  // namespace stablelm
