// Settings and results of a generated text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Named sets of settings: kModel takes those of the model's files, else kCard for tuned models and kGreedy for others.
enum class SamplingPreset : uint8_t {
  kModel,
  kCard,      // the model card: temperature 0.7, top-k 50
  kNotebook,  // Stability AI's notebook: temperature 0.7, top-p 0.9
  kSpace,     // Stability AI's chat Space: temperature 1, top-k 1000, top-p 0.95
  kGreedy,    // always the most likely token
};

struct TokenBias {
  int32_t id = 0;
  double bias = 0;  // added to the token's score; -infinity bans it
};

struct GenerationSettings {
  // The settings of sampling. Empty values come from the preset. docs/generating.md describes each; the ranges are
  // those of the program's options of the same names.
  SamplingPreset preset = SamplingPreset::kModel;
  std::optional<bool> do_sample = {};          // false: greedy. Setting one of the next 15 implies true
  std::optional<double> temperature = {};      // 0: greedy
  std::optional<int64_t> top_k = {};           // 0: all
  std::optional<double> top_p = {};            // 1: all
  std::optional<double> min_p = {};            // 0: none dropped
  std::optional<double> typical_p = {};        // 1: all
  std::optional<double> epsilon_cutoff = {};   // 0: none dropped
  std::optional<double> eta_cutoff = {};       // 0: none dropped
  std::optional<double> top_n_sigma = {};      // 0: none dropped
  std::optional<double> xtc_probability = {};  // 0: off
  std::optional<double> xtc_threshold = {};
  std::optional<double> dynatemp_range = {};  // 0: off
  std::optional<double> dynatemp_exponent = {};
  std::optional<int64_t> mirostat = {};  // 2, or 0: off
  std::optional<double> mirostat_tau = {};
  std::optional<double> mirostat_eta = {};
  std::optional<double> repetition_penalty = {};  // 1: off
  std::optional<double> presence_penalty = {};    // 0: off
  std::optional<double> frequency_penalty = {};   // 0: off
  std::optional<int64_t> penalty_last_n = {};     // -1: prompt and text as a whole
  std::optional<double> dry_multiplier = {};      // 0: off
  std::optional<double> dry_base = {};
  std::optional<int64_t> dry_allowed_length = {};
  std::optional<int64_t> dry_last_n = {};            // -1: all
  std::optional<int64_t> no_repeat_ngram_size = {};  // 0: off
  std::optional<int64_t> min_length = {};            // of prompt and text
  std::optional<int64_t> min_new_tokens = {};
  std::optional<int64_t> length_decay_start = {};
  std::optional<double> length_decay_factor = {};  // 1: off
  std::optional<int64_t> max_new_tokens = {};      // empty: to the end of the context

  std::vector<TokenBias> logit_bias = {};
  std::optional<std::vector<std::vector<int32_t>>> bad_words_ids = {};  // sequences that are never completed
  std::optional<std::vector<int32_t>> suppress_tokens = {};             // never chosen
  std::optional<std::vector<int32_t>> begin_suppress_tokens = {};       // never chosen as the first token

  std::optional<uint64_t> seed = {};  // empty: random
  uint64_t sample = 0;                // another sample index gives another text with the same seed

  // When the text ends. By default at an end token of the model, or when the context is full.
  std::vector<std::string> stop = {};     // before any of these texts, which are not part of the result
  std::vector<int32_t> stop_ids = {};     // after any of these, in addition to the model's own
  std::optional<double> max_time_s = {};  // no further token after this many seconds
  bool ignore_end = false;                // never choose an end token
  std::stop_token cancel = {};  // ends the text before its next token, and the computation of a prompt within a layer

  int64_t top_logprobs = 0;  // alternatives to list for each token, at most the vocabulary
};

// A token that the model could have chosen.
struct Alternative {
  int32_t id = 0;
  double logprob = 0;  // natural logarithm, from the model's raw logits
};

struct NewToken {
  int32_t id = 0;
  double logprob = 0;                              // natural logarithm, from the model's raw logits
  std::span<const Alternative> alternatives = {};  // the most likely tokens, best first; valid during the call
};

// Called during generation, in order, on the thread that generates. An exception ends the text and passes to the
// caller. To end a text without one, request a stop from the source of GenerationSettings::cancel.
struct GenerationCallbacks {
  std::function<void(const NewToken&)> on_token = {};  // each token when it is chosen
  // Text that is ready to be shown: whole characters, no part of a stop text; valid during the call. The concatenated
  // pieces are Generation::text.
  std::function<void(std::string_view)> on_text = {};
};

enum class EndReason : uint8_t {
  kStop,       // an end token or a stop text
  kLength,     // max_new_tokens
  kContext,    // the context is full
  kCancelled,  // GenerationSettings::cancel
  kTime,       // max_time_s
};
const char* NameOf(EndReason reason);  // "stop", "length", "context", "cancelled", "time"

struct Generation {
  std::vector<int32_t> ids = {};                   // including the end token or all ids of a stop text
  std::vector<double> logprobs = {};               // of each id
  std::vector<std::vector<Alternative>> top = {};  // of each id, with top_logprobs
  std::string text = {};                           // without end token and stop text; empty without a tokenizer
  EndReason reason = EndReason::kLength;
  std::optional<int32_t> stop_id = {};  // with kStop: one of the two is set
  std::optional<std::string> stop = {};
  uint64_t seed = 0;  // the seed used: gives the same tokens again
  int64_t prompt_tokens = 0;
  int64_t known_tokens = 0;  // of the prompt: not computed, because an earlier request had computed them
  double prompt_s = 0;       // seconds to compute the prompt
  double reply_s = 0;        // seconds from the first token to the end
  // What was dropped from the prompt because it did not fit the context, and what the policy kShift dropped during the
  // reply, which is approximate from there.
  int64_t dropped_messages = 0, dropped_tokens = 0, shifted_tokens = 0;
};

}  // namespace stablelm
