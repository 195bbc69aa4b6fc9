// The table of generation settings: names, kinds, ranges and help. The command line, JSON lines, chat records and web
// forms use it; generate/sampling/sampling_options.cc binds its names to fields.
//
// Names and meaning follow transformers' GenerationConfig. Settings that it lacks (DRY, XTC, mirostat, top-n-sigma,
// dynamic temperature, presence and frequency penalties) follow llama.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace stablelm {

enum class SettingKind : uint8_t { kReal, kWhole, kFlag };

struct SettingSpec {
  std::string_view name;  // the command-line option has '-' for '_'
  SettingKind kind = SettingKind::kReal;
  double min = 0, max = 0;  // inclusive; a flag is 0 or 1
  std::string_view help;
  bool sampling_only = false;  // unused in greedy decoding: setting it implies sampling
};

// In display order.
inline constexpr auto kSettings = [] {
  using enum SettingKind;
  constexpr double kMany = 2147483648.0;  // 2^31, upper bound of counts
  constexpr bool kSamplingOnly = true;
  return std::to_array<SettingSpec>({
      {"do_sample", kFlag, 0, 1, "Sample; else take the most likely token"},
      {"temperature", kReal, 0, 1e6, "The higher, the more varied: draw from softmax(scores / N); 0 is greedy",
       kSamplingOnly},
      {"top_k", kWhole, 0, kMany, "Draw among the N most likely tokens, ties included; 0 for all", kSamplingOnly},
      {"top_p", kReal, 0, 1, "Draw among the most likely tokens whose probabilities reach N; 1 for all", kSamplingOnly},
      {"min_p", kReal, 0, 1, "Drop tokens less likely than N times the most likely one; 0 for none", kSamplingOnly},
      {"typical_p", kReal, 0, 1,
       "Draw among the tokens whose surprise is nearest to the entropy, until N is reached; 1 for all", kSamplingOnly},
      {"epsilon_cutoff", kReal, 0, 1, "Drop tokens with a probability below N; 0 for none", kSamplingOnly},
      {"eta_cutoff", kReal, 0, 1, "Drop tokens with a probability below min(N, sqrt(N) exp(-entropy)); 0 for none",
       kSamplingOnly},
      {"top_n_sigma", kReal, 0, 1e6,
       "Drop tokens more than N standard deviations of the scores below the best one; 0 for none", kSamplingOnly},
      {"xtc_probability", kReal, 0, 1,
       "With this probability drop all tokens at or above the threshold but the least likely of them; 0 is off",
       kSamplingOnly},
      {"xtc_threshold", kReal, 0, 1, "Threshold of XTC; above 0.5 it never applies", kSamplingOnly},
      {"dynatemp_range", kReal, 0, 1e6,
       "Let the temperature follow the entropy between temperature - N and temperature + N; 0 is off", kSamplingOnly},
      {"dynatemp_exponent", kReal, 0, 100, "Exponent of the entropy's share in the dynamic temperature", kSamplingOnly},
      {"mirostat", kWhole, 0, 2, "2: hold the surprise of the text at tau, in place of all other filters; 0 is off",
       kSamplingOnly},
      {"mirostat_tau", kReal, 0, 100, "Surprise in bits that mirostat aims at", kSamplingOnly},
      {"mirostat_eta", kReal, 0, 1, "Step by which mirostat corrects itself", kSamplingOnly},
      {"repetition_penalty", kReal, 1e-6, 1e6,
       "Divide positive and multiply negative scores of tokens that occurred by N; 1 is off"},
      {"presence_penalty", kReal, -100, 100, "Take N from the score of tokens that occurred"},
      {"frequency_penalty", kReal, -100, 100, "Take N from the score of a token for each time that it occurred"},
      {"penalty_last_n", kWhole, -1, kMany,
       "The last N tokens count for the penalties above; -1 for prompt and text as a whole, 0 for none"},
      {"dry_multiplier", kReal, 0, 1e6,
       "Strength of DRY, which penalises tokens that go on with a repetition; 0 is off"},
      {"dry_base", kReal, 1, 1e6, "DRY takes multiplier * base ^ (length of the repetition - allowed length)"},
      {"dry_allowed_length", kWhole, 1, kMany, "Repetitions of fewer tokens cost nothing under DRY"},
      {"dry_last_n", kWhole, -1, kMany, "The last N tokens are searched by DRY; -1 for all, 0 for none"},
      {"no_repeat_ngram_size", kWhole, 0, kMany, "No N tokens in a row occur twice; 0 is off"},
      {"min_length", kWhole, 0, kMany, "No end before prompt and text have N tokens"},
      {"min_new_tokens", kWhole, 0, kMany, "No end before N tokens"},
      {"length_decay_start", kWhole, 0, kMany, "Tokens after which the end becomes more likely"},
      {"length_decay_factor", kReal, 1e-6, 1e6, "The end's score s grows by |s| (N ^ (tokens - start) - 1); 1 is off"},
      {"max_new_tokens", kWhole, 1, kMany, "Tokens to generate at most"},
  });
}();

}  // namespace stablelm
