// What happens when a conversation does not fit the model's context. Never silently: the result says what was dropped.
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
  kDropOldestTurns,  // "drop-oldest-turns": the oldest turns (a user's message with its answer) go, as few as needed;
                     // the system message stays
  kShift,  // "shift": whole turns go as with drop-oldest-turns; a reply that fills the context drops the oldest
           // half of what follows the system message and goes on, approximately (GenerateRequest); without a system
           // message the first kAttentionSinks tokens stay
  kStop,   // "stop": the prompt must fit; the reserve is not asked for, the reply ends where the context does
};
const char* NameOf(ContextPolicy policy);
std::vector<std::string> ContextPolicyNames();
std::optional<ContextPolicy> ContextPolicyOf(std::string_view name);

struct ContextLimits {
  int64_t context = 0;  // positions of the model
  int64_t reserve = 0;  // positions that stay free for the reply
  ContextPolicy policy = ContextPolicy::kError;
};

// The limits of a request. The reserve that holds when none is given: none, but 512 positions or half the context where
// turns are dropped to make room.
ContextLimits LimitsFor(ContextPolicy policy, std::optional<int64_t> reserve, int64_t context);

struct FittedPrompt {
  Prompt prompt;
  size_t dropped_messages = 0;
  int64_t dropped_tokens = 0;  // by how many the prompt is shorter than that of the whole conversation
};

// The prompt of the conversation, within the limits. Throws Error as PromptBuilder::BuildPrompt, and with both numbers
// when it does not fit: for drop-oldest-turns when the last turn alone does not.
FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       const std::string& where = {});
// The same with an encoder that the caller keeps (PromptBuilder).
FittedPrompt FitPrompt(const PromptBuilder& builder, const Conversation& conversation, const ContextLimits& limits,
                       Encoder& encoder, const std::string& where = {});

// The same for a conversation that came from outside, with the system message that is in force (WithSystemMessage);
// errors count messages as the conversation does. Throws Error as CheckConversation too.
FittedPrompt FitConversation(Conversation conversation, ChatSetup& setup, const Tokenizer& tokenizer,
                             const ContextLimits& limits, const std::string& where);

// Heads park the attention that they have no use for on the first positions; a context without them gives nonsense, and
// four are enough (Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks).
inline constexpr int64_t kAttentionSinks = 4;
// How many ids, from the first of the prompt on, stay while the reply makes room for itself: those of the system
// message, and at least kAttentionSinks, be they prompt or reply. No value unless the policy is kShift.
std::optional<int64_t> KeepOnShift(const Prompt& prompt, ContextPolicy policy);

// The same question about a prompt without turns, of `tokens` ids. Throws Error when it does not fit; there is nothing
// to drop.
void RequireContext(int64_t tokens, ContextLimits limits, const std::string& where);

}  // namespace stablelm
