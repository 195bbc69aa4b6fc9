// From a line of a file of prompts to a task whose result is a line of JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "cli/generating/conversation_input.h"
#include "cli/generating/reply_json.h"
#include "generate/batch/line_requests.h"
#include "generate/batch/prompt_run.h"

namespace stablelm {

// What holds for all lines.
struct PromptTaskOptions {
  GenerationOptions generation;
  ConversationInput conversation;  // how a conversation is written, and what happens when it does not fit
  ReplyDetails details;
  int64_t samples = 1;         // --n
  bool parse_special = false;  // in "prompt"
};

// One thread. Config, defaults and tokenizer (may be null) outlive it.
class PromptTasks {
 public:
  // Throws UsageError and Error for what is wrong with all lines.
  PromptTasks(const PromptTaskOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
              const ModelDefaults& defaults);
  void SetSeed(uint64_t seed) { requests_.SetSeed(seed); }

  // Prompt `index`; `place` names the line in errors. A line that cannot be read or asked for becomes its error.
  std::variant<PromptTask, std::string> Of(std::string_view line, uint64_t index, const std::string& place);
  // {"index":N,"error":"PLACE: ..."}
  static std::string ErrorLine(uint64_t index, const std::string& place, std::string_view what);

  // LineRequests::Parameters, and the options of the command that change what lines say.
  std::map<std::string, std::string> Parameters(const CommonOptions& common) const;

 private:
  PromptTask Task(std::string_view line, uint64_t index, const std::string& place);

  ReplyDetails details_;
  const Tokenizer* tokenizer_;
  LineRequests requests_;
};

}  // namespace stablelm
