#include "generate/sampling/sampling_options.h"

#include <cmath>
#include <cstdio>
#include <limits>

#include "base/error.h"
#include "generate/sampling/sampler_order.h"

namespace stablelm {
namespace {

using O = SamplingOptions;
constexpr double kMany = 2147483648.0;  // 2^31, an upper end for counts

constexpr SamplingParameter kParameters[] = {
    {"temperature", &O::temperature, 0, 1e6, "Draw from softmax(scores / N); 0 is greedy", true},
    {"top_k", &O::top_k, 0, kMany, "Draw among the N most likely tokens, ties included; 0 for all", true},
    {"top_p", &O::top_p, 0, 1, "Draw among the most likely tokens whose probabilities reach N; 1 for all", true},
    {"min_p", &O::min_p, 0, 1, "Drop tokens less likely than N times the most likely one; 0 for none", true},
    {"typical_p", &O::typical_p, 0, 1,
     "Draw among the tokens whose surprise is nearest to the entropy, until N is reached; 1 for all", true},
    {"epsilon_cutoff", &O::epsilon_cutoff, 0, 1, "Drop tokens with a probability below N; 0 for none", true},
    {"eta_cutoff", &O::eta_cutoff, 0, 1,
     "Drop tokens with a probability below min(N, sqrt(N) exp(-entropy)); 0 for none", true},
    {"top_n_sigma", &O::top_n_sigma, 0, 1e6,
     "Drop tokens more than N standard deviations of the scores below the best one; 0 for none", true},
    {"xtc_probability", &O::xtc_probability, 0, 1,
     "With this probability drop all tokens at or above the threshold but the least likely of them; 0 is off", true},
    {"xtc_threshold", &O::xtc_threshold, 0, 1, "Threshold of XTC; above 0.5 it never applies", true},
    {"dynatemp_range", &O::dynatemp_range, 0, 1e6,
     "Let the temperature follow the entropy between temperature - N and temperature + N; 0 is off", true},
    {"dynatemp_exponent", &O::dynatemp_exponent, 0, 100, "Exponent of the entropy's share in the dynamic temperature",
     true},
    {"mirostat", &O::mirostat, 0, 2, "2: hold the surprise of the text at tau, in place of all other filters; 0 is off",
     true},
    {"mirostat_tau", &O::mirostat_tau, 0, 100, "Surprise in bits that mirostat aims at", true},
    {"mirostat_eta", &O::mirostat_eta, 0, 1, "Step by which mirostat corrects itself", true},
    {"repetition_penalty", &O::repetition_penalty, 1e-6, 1e6,
     "Divide positive and multiply negative scores of tokens that occurred by N; 1 is off"},
    {"presence_penalty", &O::presence_penalty, -100, 100, "Take N from the score of tokens that occurred"},
    {"frequency_penalty", &O::frequency_penalty, -100, 100,
     "Take N from the score of a token for each time that it occurred"},
    {"penalty_last_n", &O::penalty_last_n, -1, kMany,
     "The last N tokens count for the penalties above; -1 for prompt and text as a whole, 0 for none"},
    {"dry_multiplier", &O::dry_multiplier, 0, 1e6,
     "Strength of DRY, which penalises tokens that go on with a repetition; 0 is off"},
    {"dry_base", &O::dry_base, 1, 1e6, "DRY takes multiplier * base ^ (length of the repetition - allowed length)"},
    {"dry_allowed_length", &O::dry_allowed_length, 1, kMany, "Repetitions of fewer tokens cost nothing under DRY"},
    {"dry_last_n", &O::dry_last_n, -1, kMany, "The last N tokens are searched by DRY; -1 for all, 0 for none"},
    {"no_repeat_ngram_size", &O::no_repeat_ngram_size, 0, kMany, "No N tokens in a row occur twice; 0 is off"},
    {"min_length", &O::min_length, 0, kMany, "No end before prompt and text have N tokens"},
    {"min_new_tokens", &O::min_new_tokens, 0, kMany, "No end before N tokens"},
    {"length_decay_start", &O::length_decay_start, 0, kMany, "Tokens after which the end becomes more likely"},
    {"length_decay_factor", &O::length_decay_factor, 1e-6, 1e6,
     "The end's score s grows by |s| (N ^ (tokens - start) - 1); 1 is off"},
};

constexpr size_t kMostEntries = 65536;  // of a list: the work per token stays bounded
constexpr size_t kMostBreakers = 64, kMostBreakerBytes = 256;
constexpr double kLargestBias = 1e6;

std::string Text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

[[noreturn]] void Refuse(const std::string& where, std::string what, std::string found, std::string expected) {
  throw Error({.where = where, .what = std::move(what), .found = std::move(found), .expected = std::move(expected)});
}

void CheckNumber(const SamplingParameter& p, const SamplingOptions& options, const std::string& where) {
  const double value = std::holds_alternative<double O::*>(p.field)
                           ? options.*std::get<double O::*>(p.field)
                           : static_cast<double>(options.*std::get<int64_t O::*>(p.field));
  if (value >= p.min && value <= p.max) return;  // false for NaN
  Refuse(where + std::string(p.name), "out of range", Text(value), Text(p.min) + " to " + Text(p.max));
}

void CheckSize(size_t n, size_t most, const std::string& where) {
  if (n > most) Refuse(where, "too many entries", std::to_string(n), "at most " + std::to_string(most));
}

void CheckIds(std::span<const int32_t> ids, int64_t vocab_size, const std::string& where) {
  CheckSize(ids.size(), kMostEntries, where);
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size) continue;
    Refuse(where, "token id out of range", std::to_string(id), "0 to " + std::to_string(vocab_size - 1));
  }
}

}  // namespace

std::span<const SamplingParameter> SamplingParameters() { return kParameters; }

void CheckSamplingOptions(const SamplingOptions& options, int64_t vocab_size, const std::string& where) {
  for (const SamplingParameter& p : kParameters) CheckNumber(p, options, where);
  if (options.mirostat == 1) Refuse(where + "mirostat", "no such version", "1", "0 or 2");
  CheckSize(options.logit_bias.size(), kMostEntries, where + "logit_bias");
  for (const LogitBias& b : options.logit_bias) {
    CheckIds({&b.id, 1}, vocab_size, where + "logit_bias");
    if (b.bias == -std::numeric_limits<double>::infinity() || std::abs(b.bias) <= kLargestBias) continue;
    Refuse(where + "logit_bias", "out of range", Text(b.bias) + " for token " + std::to_string(b.id),
           Text(-kLargestBias) + " to " + Text(kLargestBias) + " or -inf");
  }
  size_t total = 0;
  for (const std::vector<int32_t>& word : options.bad_words) {
    if (word.empty()) Refuse(where + "bad_words", "an entry is empty", {}, "one token id or more");
    CheckIds(word, vocab_size, where + "bad_words");
    total += word.size();
  }
  CheckSize(total, kMostEntries, where + "bad_words");
  CheckIds(options.suppress_tokens, vocab_size, where + "suppress_tokens");
  CheckIds(options.begin_suppress_tokens, vocab_size, where + "begin_suppress_tokens");
  CheckSize(options.dry_breakers.size(), kMostBreakers, where + "dry_breakers");
  for (const std::string& breaker : options.dry_breakers) {
    if (!breaker.empty() && breaker.size() <= kMostBreakerBytes) continue;
    Refuse(where + "dry_breakers", "an entry has a length out of range", std::to_string(breaker.size()) + " bytes",
           "1 to " + std::to_string(kMostBreakerBytes));
  }
  StepsInOrder(options, where);
}

}  // namespace stablelm
