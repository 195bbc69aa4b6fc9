// What to do when a conversation does not fit the model's context. Nothing is dropped silently: the result says what
// was dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/chat_setup.h"
#include "prompt/conversation.h"
#include "prompt/prompt_builder.h"

namespace stablelm {

enum class ContextPolicy : uint8_t {
  kError,            // "error": prompt and reserve must fit
  kDropOldestTurns,  // "drop-oldest-turns": drops the oldest turns (a user message with its answer), as few as needed;
                     // keeps the system message
  kShift,  // "shift": drops turns of the prompt like drop-oldest-turns. A reply that fills the context drops the oldest
           // half of the tokens after the system message, or after the first kAttentionSinks tokens without one, and
           // continues; it is then approximate (GenerateRequest)
  kStop,   // "stop": the prompt must fit, without a reserve; the reply ends when the context is full
};
const char* NameOf(ContextPolicy policy);
std::vector<std::string> ContextPolicyNames();
std::optional<ContextPolicy> ContextPolicyOf(std::string_view name);

struct ContextLimits {
  int64_t context = 0;  // tokens that the context holds
  int64_t longest = 0;  // tokens of the model's own context, where `context` may be a shorter one; 0: not known
  int64_t reserve = 0;  // tokens reserved for the reply
  ContextPolicy policy = ContextPolicy::kError;
};

// The limits of a request. Default reserve: 0; for policies that drop turns the smaller of 512 tokens and half the
// context. `longest`: as in ContextLimits; 0: not known.
ContextLimits LimitsFor(ContextPolicy policy, std::optional<int64_t> reserve, int64_t context, int64_t longest = 0);

// What a policy dropped from a conversation.
struct DroppedTurns {
  size_t messages = 0;
  int64_t tokens = 0;
};

struct FittedPrompt {
  Prompt prompt;
  size_t dropped_messages = 0;
  int64_t dropped_tokens = 0;  // how much shorter the prompt is than that of the whole conversation
};

// Builds the prompt of the conversation within the limits. Throws Error as PromptBuilder::BuildPrompt, and Error with
// both numbers when it does not fit; when turns may be dropped, only if the last turn alone does not fit.
FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       const std::string& where = {});
// As above, with an encoder that the caller keeps (PromptBuilder).
FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       Encoder& encoder, const std::string& where = {});

// As above for an unchecked conversation, with the effective system message (WithSystemMessage). Message indices in
// errors are those of the given conversation. Also throws Error as CheckConversation.
FittedPrompt FitConversation(Conversation conversation, ChatSetup& setup, const Tokenizer& tokenizer,
                             const ContextLimits& limits, const std::string& where);

// Attention sinks: heads put unused attention on the first tokens. Dropping these tokens breaks the output; keeping
// four is enough (Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks).
inline constexpr int64_t kAttentionSinks = 4;
// Number of first ids that context shifts keep: those of the system message, but at least kAttentionSinks, of prompt or
// reply. No value unless the policy is kShift.
std::optional<int64_t> KeepOnShift(const Prompt& prompt, ContextPolicy policy);

// Checks a prompt without turns, of `tokens` ids. Throws Error when it does not fit, since there is nothing to drop.
void RequireContext(int64_t tokens, ContextLimits limits, const std::string& where);

}  // namespace stablelm
