// The reply to a request: its result, and the object that generates it token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generate/generate_request.h"
#include "generate/sampling/sampler.h"
#include "generate/stop.h"

namespace stablelm {

enum class FinishReason : uint8_t {
  kStop,       // a stop id or a stop string was generated
  kLength,     // max_new_tokens were generated
  kContext,    // prompt and reply fill the model's context
  kCancelled,  // the caller's flag was set
  kTime,       // max_time_s has passed
};
const char* NameOf(FinishReason reason);  // "stop", "length", "context", "cancelled", "time"

struct GenerateResult {
  std::vector<int32_t> ids;                    // generated, including a stop id or all ids of a stop string
  std::vector<double> logprobs;                // of each id, see ChosenToken
  std::vector<std::vector<TokenLogprob>> top;  // of each id, when top_logprobs > 0
  std::string text;                            // empty without a tokenizer
  FinishReason reason = FinishReason::kLength;
  StopCause stop;               // with kStop: what stopped it
  int64_t shifts = 0;           // number of context shifts; the reply is approximate after the first
  int64_t shifted_tokens = 0;   // tokens dropped by them
  int64_t shift_kept = 0;       // first tokens that the last shift kept
  int64_t known_positions = 0;  // prompt tokens already in the cache from an earlier request
  int64_t forced_tokens = 0;    // tokens chosen although a step removed all (ChosenToken::emptied_by)
  double prefill_s = 0;         // time to compute the prompt
  double decode_s = 0;          // time to choose tokens and to compute all but the first
};

// The sampler setup of a request.
SamplerSetup SetupOf(const GenerateRequest& request);

struct TokenLimit {
  int64_t tokens = 0;                           // maximum number of generated tokens
  FinishReason reason = FinishReason::kLength;  // when the reply has that many
};
// `room`: tokens that fit after the prompt; negative when the prompt itself does not fit.
TokenLimit LimitOf(const GenerateRequest& request, int64_t room);

// Callbacks while a reply is generated, called in order on the thread that generates it.
struct ReplyCallbacks {
  std::function<void(const ChosenToken&)> on_token = {};  // for each token; its alternatives are valid during the call
  // Text that is ready to be shown, after the token that completes it or at the end: whole characters, no part of a
  // stop string. The concatenated pieces are the result's text.
  std::function<void(std::string_view)> on_text = {};
};

// A reply in progress: chooses its tokens one by one, decodes its text and decides when it ends. The caller provides
// the logits, from one sequence (generator.h) or a batch of many (engine.h). One thread at a time.
class Reply {
 public:
  // Throws Error for a length or time limit out of range, and as Sampler and StoppedText.
  Reply(const GenerateRequest& request, int64_t room, int64_t vocab_size);

  // Prompt and generated ids; Take may move them in memory.
  const std::vector<int32_t>& ids() const { return ids_; }
  int64_t prompt() const { return prompt_; }  // number of prompt tokens
  int64_t generated() const { return static_cast<int64_t>(ids_.size()) - prompt_; }
  const TokenLimit& limit() const { return limit_; }
  bool ended() const { return ended_; }

  // Chooses the next token from logits [V]. Ends the reply at a stop or at the limit. Throws Error as Sampler::Choose,
  // and what callbacks throw.
  void Take(std::span<const float> logits, SamplerWorkspace& workspace, const ReplyCallbacks& callbacks);
  // Ends the reply for another reason. Emits the text held back so far, which may complete a stop string. Does nothing
  // when the reply has ended.
  void End(FinishReason reason, const ReplyCallbacks& callbacks);

  // Complete once ended. The caller fills in the times.
  GenerateResult result;

 private:
  void Show(const std::string& text, const ReplyCallbacks& callbacks);
  std::vector<int32_t> ids_;
  int64_t prompt_;
  int64_t begun_;  // ids of the reply that are in the prompt
  TokenLimit limit_;
  bool lists_top_;
  Sampler sampler_;
  StoppedText text_;
  bool ended_ = false;
};

}  // namespace stablelm
