// From a line of a file of prompts to a task for the engine: the line's own parameters over those of the command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cli/generating/conversation_input.h"
#include "cli/generating/generation_options.h"
#include "cli/generating/reply_json.h"
#include "generate/batch/prompt_run.h"

namespace stablelm {

struct PromptLine;

// What holds for all lines.
struct PromptTaskSettings {
  GenerationOptions generation;
  ConversationInput conversation;  // how a conversation is written, and what happens when it does not fit
  ReplyDetails details;
  int64_t samples = 1;         // --n
  bool parse_special = false;  // in "prompt"
  uint64_t seed = 0;           // of the run
};

// One thread. Config, defaults and tokenizer (may be null) outlive it.
class PromptTasks {
 public:
  // Throws UsageError and Error for what is wrong with all lines.
  PromptTasks(PromptTaskSettings settings, const ModelConfig& config, const Tokenizer* tokenizer,
              const ModelDefaults& defaults);
  void SetSeed(uint64_t seed) { settings_.seed = seed; }

  // Prompt `index`; `place` names the line in errors. A line that cannot be read or asked for becomes its error.
  std::variant<PromptTask, std::string> Of(std::string_view line, uint64_t index, const std::string& place);
  // {"index":N,"error":"PLACE: ..."}
  static std::string ErrorLine(uint64_t index, const std::string& place, std::string_view what);

  // Settings in force and everything else of the command that decides what lines say, by name, as JSON: for the record
  // of the run.
  std::map<std::string, std::string> Parameters(const CommonOptions& common) const;

 private:
  struct Prompt;
  PromptTask Task(std::string_view line, uint64_t index, const std::string& place);
  void CheckStopIds(const PromptLine& line) const;
  Prompt PromptOf(const PromptLine& line);

  PromptTaskSettings settings_;
  const ModelConfig& config_;
  const Tokenizer* tokenizer_;
  const ModelDefaults& defaults_;
  ChatWishes wishes_;
  GenerationPlan plan_;  // of a line without parameters of its own
  std::optional<Encoder> encoder_;
  std::optional<PromptBuilder> builder_;  // once there was a conversation
};

}  // namespace stablelm
