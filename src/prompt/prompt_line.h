// One line of a prompt file (JSON lines): a prompt and its own parameters.
//
//   {"prompt": "Once upon"}                                   a text to continue
//   {"ids": [1, 2, 3]}                                        token ids
//   {"messages": [{"role": "user", "content": "Hi"}]}         a conversation (prompt/conversation.h)
//
// and any of: the settings of prompt/setting_values.h by name ("temperature", "max_new_tokens"), "seed", "stop" (a
// string or a list of them), "stop_id" (a list of ids), "ignore_eos", "max_time" (seconds), "logit_bias" (an object,
// {"12": -5, "13": "-inf"}), "bad_words_ids" (a list of lists of ids), "suppress_tokens" and "begin_suppress_tokens"
// (lists of ids), "sampler_order". A value of null counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/conversation.h"
#include "prompt/setting_values.h"
#include "prompt/token_lists.h"

namespace stablelm {

struct PromptLine {
  // Exactly one of the three is set.
  std::optional<std::string> prompt;
  std::optional<std::vector<int32_t>> ids;  // not checked against the vocabulary
  std::optional<Conversation> messages;

  SettingValues values;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop_strings;
  std::vector<int32_t> stop_ids;
  std::optional<bool> ignore_eos;
  std::optional<double> max_time_s;
  std::vector<LogitBias> logit_bias;
  TokenLists token_lists;  // ids are not checked against the vocabulary
  std::optional<std::string> sampler_order;
};

// Strict: rejects unknown keys and suggests the nearest known one. Throws Error that names the key.
PromptLine ParsePromptLine(std::string_view json);

}  // namespace stablelm
