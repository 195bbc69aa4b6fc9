// Turns each line of a prompt file into a task that produces one line of JSON.
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

// Options for all lines.
struct PromptTaskOptions {
  GenerationOptions generation;
  ConversationInput conversation;  // template and system text, and the policy for long conversations
  ReplyDetails details;
  int64_t longest_context = 0;  // the model's, where --context is shorter
  int64_t samples = 1;          // --samples
  bool parse_special = false;   // in the text of "prompt"
};

// One thread. Config, defaults and tokenizer (may be null) must outlive it.
class PromptTasks {
 public:
  // Throws UsageError and Error for errors that affect all lines.
  PromptTasks(const PromptTaskOptions& options, const ModelConfig& config, const Tokenizer* tokenizer,
              const ModelDefaults& defaults);
  void SetSeed(uint64_t seed) { requests_.SetSeed(seed); }

  // The task of prompt `index`; `place` names the line in errors. An invalid line gives its error line instead.
  std::variant<PromptTask, std::string> Of(std::string_view line, uint64_t index, const std::string& place);
  // {"index":N,"error":"PLACE: ..."}
  static std::string ErrorLine(uint64_t index, const std::string& place, std::string_view what);

  // LineRequests::Parameters plus the command's options that change the results.
  std::map<std::string, std::string> Parameters(const CommonOptions& common) const;

 private:
  PromptTask Task(std::string_view line, uint64_t index, const std::string& place);

  ReplyDetails details_;
  const Tokenizer* tokenizer_;
  LineRequests requests_;
};

}  // namespace stablelm
