#include "prompt/context_policy.h"

#include <algorithm>

#include "base/counted.h"
#include "base/error_kinds.h"

namespace stablelm {
namespace {

constexpr ContextPolicy kPolicies[] = {ContextPolicy::kError, ContextPolicy::kDropOldestTurns, ContextPolicy::kShift,
                                       ContextPolicy::kStop};

bool DropsTurns(ContextPolicy policy) {
  return policy == ContextPolicy::kDropOldestTurns || policy == ContextPolicy::kShift;
}

int64_t Reserve(const ContextLimits& limits) { return limits.policy == ContextPolicy::kStop ? 0 : limits.reserve; }

int64_t Length(const Prompt& prompt) { return static_cast<int64_t>(prompt.ids.size()); }

// Cannot overflow: both are little more than 2^31 at most.
bool Fits(int64_t tokens, const ContextLimits& limits) { return tokens <= limits.context - Reserve(limits); }

[[noreturn]] void FailToFit(int64_t tokens, const ContextLimits& limits, const std::string& what,
                            const std::string& hint, const std::string& where) {
  const int64_t reserve = Reserve(limits);
  std::string found = Counted(tokens, "token");
  if (reserve > 0) found += " and " + std::to_string(reserve) + " reserved for the reply";
  const bool shortened = limits.context < limits.longest;
  throw PromptTooLong(
      {.where = where,
       .what = what + (shortened ? "longer than `context`" : "longer than the model's context"),
       .found = found,
       .expected = "at most " + std::to_string(limits.context) + (reserve > 0 ? " together" : ""),
       .hint =
           hint + (shortened ? ", or a longer `context` (the model has " + std::to_string(limits.longest) + ")" : "")});
}

// The conversation without its `turns` oldest turns.
Conversation WithoutTurns(const Conversation& conversation, size_t turns) {
  const bool system = conversation.front().role == Role::kSystem;
  const auto first = conversation.begin() + (system ? 1 : 0);
  Conversation rest(conversation.begin(), first);
  rest.insert(rest.end(), first + static_cast<std::ptrdiff_t>(2 * turns), conversation.end());
  return rest;
}

}  // namespace

const char* NameOf(ContextPolicy policy) {
  switch (policy) {
    case ContextPolicy::kError:
      return "error";
    case ContextPolicy::kDropOldestTurns:
      return "drop-oldest-turns";
    case ContextPolicy::kShift:
      return "shift";
    case ContextPolicy::kStop:
      return "stop";
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> ContextPolicyNames() {
  std::vector<std::string> names;
  for (const ContextPolicy policy : kPolicies) names.emplace_back(NameOf(policy));
  return names;
}

std::optional<ContextPolicy> ContextPolicyOf(std::string_view name) {
  for (const ContextPolicy policy : kPolicies) {
    if (name == NameOf(policy)) return policy;
  }
  return std::nullopt;
}

ContextLimits LimitsFor(ContextPolicy policy, std::optional<int64_t> reserve, int64_t context, int64_t longest) {
  const int64_t standard = DropsTurns(policy) ? std::min<int64_t>(512, context / 2) : 0;
  return {.context = context, .longest = longest, .reserve = reserve.value_or(standard), .policy = policy};
}

FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       const std::string& where) {
  Encoder encoder = builder.MakeEncoder();
  return FitPrompt(builder, conversation, limits, encoder, where);
}

FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       Encoder& encoder, const std::string& where) {
  FittedPrompt out;
  out.prompt = builder.BuildPrompt(conversation, encoder, where);
  const int64_t whole = Length(out.prompt);
  if (Fits(whole, limits)) return out;
  const std::string place = where.empty() ? "the conversation" : where;
  if (!DropsTurns(limits.policy)) {
    FailToFit(whole, limits, "", "shorten it, or `context_policy=drop-oldest-turns`", place);
  }
  // Turns before the last user message. Fewer turns give a shorter prompt, so binary search finds the smallest number
  // to drop: dropping `low` is not enough, dropping `high` is.
  const size_t system = conversation.front().role == Role::kSystem ? 1 : 0;
  const size_t turns = (conversation.size() - system) / 2;
  const auto build = [&](size_t dropped) {
    return builder.BuildPrompt(WithoutTurns(conversation, dropped), encoder, where);
  };
  size_t low = 0, high = turns;
  if (turns > 0) out.prompt = build(turns);
  if (!Fits(Length(out.prompt), limits)) {
    FailToFit(Length(out.prompt), limits, "the last turn alone is ", "shorten it", place);
  }
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    Prompt prompt = build(middle);
    if (Fits(Length(prompt), limits)) {
      high = middle;
      out.prompt = std::move(prompt);
    } else {
      low = middle;
    }
  }
  out.dropped_messages = 2 * high;
  out.dropped_tokens = whole - Length(out.prompt);
  return out;
}

FittedPrompt FitConversation(Conversation conversation, ChatSetup& setup, const Tokenizer& tokenizer,
                             const ContextLimits& limits, const std::string& where) {
  CheckConversation(conversation, where);
  RequireQuestion(conversation, where);  // before adding a system message shifts the indices in errors
  conversation = WithSystemMessage(std::move(conversation), setup);
  return FitPrompt(PromptBuilder(tokenizer, setup.prompt_template), conversation, limits, where);
}

std::optional<int64_t> KeepOnShift(const Prompt& prompt, ContextPolicy policy) {
  if (policy != ContextPolicy::kShift) return std::nullopt;
  int64_t keep = 0;
  for (const PromptPart& part : prompt.parts) {
    if (part.role == Role::kSystem) keep = static_cast<int64_t>(part.end);
  }
  return std::max(keep, kAttentionSinks);
}

void RequireContext(int64_t tokens, ContextLimits limits, const std::string& where) {
  if (limits.policy == ContextPolicy::kShift) limits.reserve = 0;  // the reply shifts the context when needed
  if (Fits(tokens, limits)) return;
  FailToFit(tokens, limits, "", "shorten it", where);
}

}  // namespace stablelm
