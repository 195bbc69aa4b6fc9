// Turns a line of a prompt file into an engine request. The line's settings override those of the run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/describe/config.h"
#include "generate/engine.h"
#include "generate/settings/generation_plan.h"
#include "generate/settings/model_defaults.h"
#include "prompt/chat_setup.h"
#include "prompt/context_policy.h"
#include "prompt/prompt_builder.h"
#include "prompt/prompt_line.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Options for all lines.
struct LineOptions {
  GenerationOptions generation;
  ChatOptions chat;  // of lines with "messages"
  ContextPolicy context_policy = ContextPolicy::kError;
  int64_t longest_context = 0;     // of the model, where a shorter one is asked for (ContextLimits); 0: not known
  std::optional<int64_t> reserve;  // tokens of context reserved for the reply (LimitsFor)
  bool replace_invalid = false;    // replace invalid UTF-8 by U+FFFD; else it is an error
  bool parse_special = false;      // in "prompt"
  int64_t samples = 1;             // of each prompt
  uint64_t seed = 0;               // of the run: a line without a seed gets SeedOfPrompt(seed, index)
  int64_t top_logprobs = 0;
  bool prompt_logprobs = false;
};

struct LineRequest {
  EngineRequest request;                // of the first sample
  std::optional<DroppedTurns> dropped;  // for a conversation
};

// One thread. Config, defaults and tokenizer (may be null) must outlive it.
class LineRequests {
 public:
  // Throws UsageError and Error for options that are wrong for all lines.
  LineRequests(LineOptions options, const ModelConfig& config, const Tokenizer* tokenizer,
               const ModelDefaults& defaults);
  void SetSeed(uint64_t seed) { options_.seed = seed; }
  const LineOptions& options() const { return options_; }

  // The request of line `index`. Throws Error for a line that is malformed or asks for something the model does not
  // have.
  LineRequest Of(std::string_view line, uint64_t index);

  // All parameters that decide the results, by name, as JSON: the settings of a line without its own, and the other
  // options. For the record of a run (run_record.h).
  std::map<std::string, std::string> Parameters() const;

 private:
  struct EncodedPrompt;
  void CheckStopIds(const PromptLine& line) const;
  EncodedPrompt Encode(const PromptLine& line);

  LineOptions options_;
  const ModelConfig& config_;
  const Tokenizer* tokenizer_;
  const ModelDefaults& defaults_;
  GenerationPlan plan_;  // of a line without its own settings
  std::optional<Encoder> encoder_;
  std::optional<PromptBuilder> builder_;  // made for the first conversation
};

}  // namespace stablelm
