// One request, one sequence: a prompt is computed in chunks, then tokens are chosen one by one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "generate/sampler.h"
#include "generate/stop.h"
#include "model/memory_plan.h"
#include "model/transformer.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

struct GenerateRequest {
  std::vector<int32_t> prompt;            // at least one id
  std::optional<int64_t> max_new_tokens;  // >= 1; empty: what is left of the context
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t sample = 0;                    // number of this sample within its request
  std::vector<int32_t> stop_ids;          // generation ends after one of these; it is part of the ids, not of the text
  std::vector<std::string> stop_strings;  // generation ends when the text holds one; the text ends before it
  std::vector<int32_t> banned_ids;        // never chosen
  int64_t known_ids = 0;                  // ids from here on are padding: never chosen, never listed; 0: none
  int64_t top_logprobs = 0;               // how many of the most likely tokens to list with each choice
  std::optional<double> max_time_s;       // no further token after this many seconds, > 0; there is always one
  std::optional<Tokenizer> tokenizer;     // makes the text; stop strings and DRY's breakers need it
};

// What its sampler is made of.
SamplerSetup SetupOf(const GenerateRequest& request);

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
  int64_t known_positions = 0;  // of the prompt, which an earlier request had computed (SequenceGenerator)
  int64_t forced_tokens = 0;    // tokens that were chosen although a rule removed all (ChosenToken::emptied_by)
  double prefill_s = 0;         // computing the prompt
  double decode_s = 0;          // choosing tokens, and computing all but the first
};

struct GenerateHooks {
  // Called with each token as it is chosen, in order, from the calling thread.
  std::function<void(const ChosenToken&)> on_token = {};
  // Set by anyone, polled between tokens and between the layers of the prompt.
  const std::atomic<bool>* cancel = nullptr;
  // Called with the text as it can be shown: whole characters, nothing of a stop string. Joined it is the result's
  // text.
  std::function<void(std::string_view)> on_text = {};
};

// The run of one sequence of at most `context` positions.
RunShape ShapeOfGenerate(int64_t context, DType kv, size_t threads);
// The run that a request needs, for the memory plan. Throws Error when the prompt is empty, has an id that the model
// does not have, or is longer than the context; `where` names the prompt.
RunShape ShapeOfGenerate(const ModelConfig& config, const GenerateRequest& request, DType kv, size_t threads,
                         const std::string& where = "prompt");

// One request after the other, as in a chat: buffers and cache live as long as the object. What a prompt has in common
// with the text before it, prompt and reply, is not computed again; the result has the same bits as without that.
// One thread at a time; model and pool outlive it.
class SequenceGenerator {
 public:
  // `run` is ShapeOfGenerate of the longest text, prompt and reply together.
  SequenceGenerator(const Transformer& model, const RunShape& run, ThreadPool& pool);
  SequenceGenerator(SequenceGenerator&&) noexcept;
  SequenceGenerator& operator=(SequenceGenerator&&) noexcept;
  ~SequenceGenerator();

  // Prompt and reply fit the run. Throws Error as Generate; the next request may then come as usual.
  GenerateResult Generate(const GenerateRequest& request, const GenerateHooks& hooks = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `run` is ShapeOfGenerate of this request. Buffers and cache live for the call. Throws Error as Transformer::Forward,
// Sampler and StoppedText.
GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const GenerateHooks& hooks = {});

}  // namespace stablelm
