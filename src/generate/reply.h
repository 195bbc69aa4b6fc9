// What comes back of a request, and the reply on its way there.
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
  kStop,       // a stop id was generated, or a stop string
  kLength,     // max_new_tokens were generated
  kContext,    // prompt and generated tokens fill the model's context
  kCancelled,  // the caller's flag was set
  kTime,       // max_time_s is over
};
const char* NameOf(FinishReason reason);  // "stop", "length", "context", "cancelled", "time"

struct GenerateResult {
  std::vector<int32_t> ids;                    // generated, a stop id included, those of a stop string whole
  std::vector<double> logprobs;                // of each, see ChosenToken
  std::vector<std::vector<TokenLogprob>> top;  // of each, when top_logprobs are wanted
  std::string text;                            // empty without a tokenizer
  FinishReason reason = FinishReason::kLength;
  StopCause stop;               // with kStop: which
  int64_t shifts = 0;           // times that the context was full and went on; the reply is approximate from the first
  int64_t shifted_tokens = 0;   // dropped by them
  int64_t shift_kept = 0;       // tokens of the beginning that stayed
  int64_t known_positions = 0;  // of the prompt, which an earlier request had computed
  int64_t forced_tokens = 0;    // tokens that were chosen although a rule removed all (ChosenToken::emptied_by)
  double prefill_s = 0;         // computing the prompt
  double decode_s = 0;          // choosing tokens, and computing all but the first
};

// What the sampler of a request is made of.
SamplerSetup SetupOf(const GenerateRequest& request);

struct TokenLimit {
  int64_t tokens = 0;                           // generated at most
  FinishReason reason = FinishReason::kLength;  // when there are so many
};
// `room`: tokens for which there is a place behind the prompt; below 0: the prompt has none itself.
TokenLimit LimitOf(const GenerateRequest& request, int64_t room);

// What a caller is told while a reply comes, in order, by the thread that generates it.
struct ReplyCallbacks {
  std::function<void(const ChosenToken&)> on_token =
      {};  // each token; its list of alternatives is valid during the call
  // Text as it can be shown, after the token that completes it or at the end: whole characters, nothing of a stop
  // string. Joined it is the result's text.
  std::function<void(std::string_view)> on_text = {};
};

// A reply while it comes: chooses its tokens one by one, makes its text and knows when it ends. Where the logits come
// from is the caller's business: one sequence (generator.h) or a batch of many (engine.h). One thread at a time.
class Reply {
 public:
  // Throws Error for a length or time out of range, and as Sampler and StoppedText.
  Reply(const GenerateRequest& request, int64_t room, int64_t vocab_size);

  // Prompt and generated; where they are in memory may change with Take.
  const std::vector<int32_t>& ids() const { return ids_; }
  int64_t prompt() const { return prompt_; }  // tokens of the prompt
  int64_t generated() const { return static_cast<int64_t>(ids_.size()) - prompt_; }
  const TokenLimit& limit() const { return limit_; }
  bool ended() const { return ended_; }

  // Chooses the next token from its logits [V]. Ends the reply when a stop was found or the limit is reached. Throws
  // Error as Sampler::Choose, and what callbacks throw.
  void Take(std::span<const float> logits, SamplerWorkspace& workspace, const ReplyCallbacks& callbacks);
  // Ends the reply for another reason; the text that was held back comes out, and may complete a stop string. Does
  // nothing when it has ended.
  void End(FinishReason reason, const ReplyCallbacks& callbacks);

  // Whole once ended; the times are the caller's to fill in.
  GenerateResult result;

 private:
  void Show(const std::string& text, const ReplyCallbacks& callbacks);
  std::vector<int32_t> ids_;
  int64_t prompt_;
  TokenLimit limit_;
  bool lists_top_;
  Sampler sampler_;
  StoppedText text_;
  bool ended_ = false;
};

}  // namespace stablelm
