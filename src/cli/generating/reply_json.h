// What generate tells of a reply beside its text: the options that ask for it, and the result as JSON.
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
};
void AddReplyDetails(CLI::App& app, ReplyDetails& details);
// The first of the options that were given and only show in JSON; null when none was.
const char* DetailOnlyInJson(const ReplyDetails& details);

// Writes replies to one prompt as JSON. One thread.
class ReplyJson {
 public:
  // `tokenizer` may be null: then the texts are null.
  ReplyJson(const ReplyDetails& details, const Tokenizer* tokenizer, std::vector<int32_t> prompt);

  // ids, logprobs when wanted, top_logprobs, text (with --echo the prompt's before it), finish_reason, stop_id or
  // stop_string, forced_tokens when there are any.
  JsonValue Of(const GenerateResult& result) const;
  // Of each result, with its number as "index" before.
  JsonValue Choices(std::span<const EngineResult> results) const;
  // Adds prompt_logprobs and prompt_top_logprobs, when they were wanted.
  void AddPromptLogprobs(const EngineResult& result, JsonValue& into) const;
  // The prompt as text, as the model sees it.
  std::string PromptText() const;
  bool has_text() const { return tokenizer_ != nullptr; }

 private:
  JsonValue Top(const std::vector<std::vector<TokenLogprob>>& lists) const;
  ReplyDetails details_;
  const Tokenizer* tokenizer_;
  std::vector<int32_t> prompt_;
};

}  // namespace stablelm
