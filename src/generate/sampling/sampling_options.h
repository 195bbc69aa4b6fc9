// All sampling parameters, with neutral defaults. prompt/setting_table.h has the ranges and help texts of the numeric
// ones, under the names of the fields.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "prompt/token_lists.h"

namespace stablelm {

struct SamplingOptions {
  // Filters. Unused in greedy decoding, which temperature 0 selects.
  double temperature = 0;  // 0: greedy, the most likely token, the lowest id in a tie
  int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double typical_p = 1;
  double epsilon_cutoff = 0;
  double eta_cutoff = 0;
  double top_n_sigma = 0;
  double xtc_probability = 0;
  double xtc_threshold = 0.1;
  double dynatemp_range = 0;
  double dynatemp_exponent = 1;
  int64_t mirostat = 0;  // 0 or 2; 2 replaces every filter after the temperature
  double mirostat_tau = 5;
  double mirostat_eta = 0.1;

  // Processors: also for greedy decoding and beam search.
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  int64_t penalty_last_n = -1;
  double dry_multiplier = 0;
  double dry_base = 1.75;
  int64_t dry_allowed_length = 2;
  int64_t dry_last_n = -1;
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};
  int64_t no_repeat_ngram_size = 0;
  int64_t min_length = 0;
  int64_t min_new_tokens = 0;
  int64_t length_decay_start = 0;
  double length_decay_factor = 1;
  std::vector<LogitBias> logit_bias = {};
  std::vector<std::vector<int32_t>> bad_words = {};  // sequences of ids that must not be completed
  std::vector<int32_t> suppress_tokens = {};
  std::vector<int32_t> begin_suppress_tokens = {};  // banned as the first generated token

  std::string sampler_order = "hf";  // see sampler_order.h

  bool Greedy() const { return temperature == 0; }
};

// A setting of the table and its field.
struct SamplingField {
  std::string_view name;
  std::variant<double SamplingOptions::*, int64_t SamplingOptions::*> field;
};
// All numeric fields of SamplingOptions, in the order of the table.
std::span<const SamplingField> SamplingFields();

// Throws Error that names the field, the found and the expected value, for a number out of range (including NaN), a
// token id outside [0, vocab_size), an empty bad word, and an unknown sampler order. `where` is a prefix of the field
// name: "", "line 3: ".
void CheckSamplingOptions(const SamplingOptions& options, int64_t vocab_size, const std::string& where = {});

}  // namespace stablelm
