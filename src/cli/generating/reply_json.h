// Details of a reply besides its text: the options that request them, and the result as JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "cli/app/options.h"
#include "generate/engine.h"

namespace stablelm {

struct ReplyDetails {
  bool logprobs = false;         // --logprobs
  int64_t top_logprobs = 0;      // --top-logprobs K
  bool prompt_logprobs = false;  // --prompt-logprobs
  bool echo = false;             // --echo
  bool no_reply = false;         // --max-new-tokens 0: only the prompt is wanted
};
void AddReplyDetails(CLI::App& app, ReplyDetails& details);
// The first given option that takes effect only in JSON; null when there is none.
const char* DetailOnlyInJson(const ReplyDetails& details);

// Writes replies to one prompt as JSON. One thread.
class ReplyJson {
 public:
  // Without a tokenizer (null), texts are null.
  ReplyJson(const ReplyDetails& details, const Tokenizer* tokenizer, std::vector<int32_t> prompt);

  // ids, logprobs and top_logprobs if requested, text (with --echo, after the prompt's text), finish_reason, stop_id or
  // stop_string, forced_tokens if there are any.
  JsonValue Of(const GenerateResult& result) const;
  // Of() for each result, with its number first as "index".
  JsonValue Choices(std::span<const EngineResult> results) const;
  // Adds prompt_logprobs and prompt_top_logprobs if requested.
  void AddPromptLogprobs(const EngineResult& result, JsonValue& into) const;
  // The prompt's text as the model sees it.
  std::string PromptText() const;
  bool has_text() const { return tokenizer_ != nullptr; }

 private:
  JsonValue Top(const std::vector<std::vector<TokenLogprob>>& lists) const;
  ReplyDetails details_;
  const Tokenizer* tokenizer_;
  std::vector<int32_t> prompt_;
};

}  // namespace stablelm
