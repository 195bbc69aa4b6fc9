#include "generate/sampling/sampling_options.h"

#include <cmath>
#include <iterator>
#include <limits>

#include "base/counted.h"
#include "base/error.h"
#include "base/number_text.h"
#include "generate/sampling/sampler_order.h"
#include "prompt/setting_table.h"

namespace stablelm {
namespace {

using O = SamplingOptions;

constexpr SamplingField kFields[] = {
    {"temperature", &O::temperature},
    {"top_k", &O::top_k},
    {"top_p", &O::top_p},
    {"min_p", &O::min_p},
    {"typical_p", &O::typical_p},
    {"epsilon_cutoff", &O::epsilon_cutoff},
    {"eta_cutoff", &O::eta_cutoff},
    {"top_n_sigma", &O::top_n_sigma},
    {"xtc_probability", &O::xtc_probability},
    {"xtc_threshold", &O::xtc_threshold},
    {"dynatemp_range", &O::dynatemp_range},
    {"dynatemp_exponent", &O::dynatemp_exponent},
    {"mirostat", &O::mirostat},
    {"mirostat_tau", &O::mirostat_tau},
    {"mirostat_eta", &O::mirostat_eta},
    {"repetition_penalty", &O::repetition_penalty},
    {"presence_penalty", &O::presence_penalty},
    {"frequency_penalty", &O::frequency_penalty},
    {"penalty_last_n", &O::penalty_last_n},
    {"dry_multiplier", &O::dry_multiplier},
    {"dry_base", &O::dry_base},
    {"dry_allowed_length", &O::dry_allowed_length},
    {"dry_last_n", &O::dry_last_n},
    {"no_repeat_ngram_size", &O::no_repeat_ngram_size},
    {"min_length", &O::min_length},
    {"min_new_tokens", &O::min_new_tokens},
    {"length_decay_start", &O::length_decay_start},
    {"length_decay_factor", &O::length_decay_factor},
};

// kFields has one entry per numeric member of SamplingOptions; all other members are summed here.
static_assert(sizeof(O) == 8 * std::size(kFields) + sizeof(O::dry_breakers) + sizeof(O::logit_bias) +
                               sizeof(O::bad_words) + sizeof(O::suppress_tokens) + sizeof(O::begin_suppress_tokens) +
                               sizeof(O::sampler_order),
              "a field of SamplingOptions is missing in kFields, or a list of it here");

constexpr bool IsSampling(const SettingSpec& spec) { return spec.name != "do_sample" && spec.name != "max_new_tokens"; }

// kFields and kSettings must list the same names in the same order, double for kReal and int64_t for kWhole.
constexpr bool FieldsMatchTheTable() {
  const SamplingField* field = std::begin(kFields);
  for (const SettingSpec& spec : kSettings) {
    if (!IsSampling(spec)) continue;
    if (field == std::end(kFields) || field->name != spec.name) return false;
    const bool whole = std::holds_alternative<int64_t O::*>(field->field);
    if (spec.kind != (whole ? SettingKind::kWhole : SettingKind::kReal)) return false;
    ++field;
  }
  return field == std::end(kFields);
}
static_assert(FieldsMatchTheTable(), "kFields and the table of settings differ");

constexpr size_t kMostBreakers = 64, kMostBreakerBytes = 256;
constexpr double kLargestBias = 1e6;

[[noreturn]] void Refuse(const std::string& where, std::string what, std::string found, std::string expected) {
  throw Error({.where = where, .what = std::move(what), .found = std::move(found), .expected = std::move(expected)});
}

void CheckNumber(const SamplingField& field, const SettingSpec& spec, const SamplingOptions& options,
                 const std::string& where) {
  const double value = std::holds_alternative<double O::*>(field.field)
                           ? options.*std::get<double O::*>(field.field)
                           : static_cast<double>(options.*std::get<int64_t O::*>(field.field));
  if (value >= spec.min && value <= spec.max) return;  // false for NaN
  Refuse(where + std::string(spec.name), "out of range", NumberText(value),
         NumberText(spec.min) + " to " + NumberText(spec.max));
}

void CheckSize(size_t n, size_t most, const std::string& where) {
  if (n > most) Refuse(where, "too many entries", std::to_string(n), "at most " + std::to_string(most));
}

void CheckIds(std::span<const int32_t> ids, int64_t vocab_size, const std::string& where) {
  CheckSize(ids.size(), kMostListedTokens, where);
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size) continue;
    Refuse(where, "token id out of range", std::to_string(id), "0 to " + std::to_string(vocab_size - 1));
  }
}

}  // namespace

std::span<const SamplingField> SamplingFields() { return kFields; }

void CheckSamplingOptions(const SamplingOptions& options, int64_t vocab_size, const std::string& where) {
  const SamplingField* field = std::begin(kFields);
  for (const SettingSpec& spec : kSettings) {
    if (IsSampling(spec)) CheckNumber(*field++, spec, options, where);
  }
  if (options.mirostat == 1) Refuse(where + "mirostat", "no such version", "1", "0 or 2");
  CheckSize(options.logit_bias.size(), kMostListedTokens, where + "logit_bias");
  for (const LogitBias& b : options.logit_bias) {
    CheckIds({&b.id, 1}, vocab_size, where + "logit_bias");
    if (b.bias == -std::numeric_limits<double>::infinity() || std::abs(b.bias) <= kLargestBias) continue;
    Refuse(where + "logit_bias", "out of range", NumberText(b.bias) + " for token " + std::to_string(b.id),
           NumberText(-kLargestBias) + " to " + NumberText(kLargestBias) + " or -inf");
  }
  size_t total = 0;
  for (const std::vector<int32_t>& word : options.bad_words) {
    if (word.empty()) Refuse(where + "bad_words", "an entry is empty", {}, "one token id or more");
    CheckIds(word, vocab_size, where + "bad_words");
    total += word.size();
  }
  CheckSize(total, kMostListedTokens, where + "bad_words");
  CheckIds(options.suppress_tokens, vocab_size, where + "suppress_tokens");
  CheckIds(options.begin_suppress_tokens, vocab_size, where + "begin_suppress_tokens");
  CheckSize(options.dry_breakers.size(), kMostBreakers, where + "dry_breakers");
  for (const std::string& breaker : options.dry_breakers) {
    if (!breaker.empty() && breaker.size() <= kMostBreakerBytes) continue;
    Refuse(where + "dry_breakers", "an entry has a length out of range", Counted(breaker.size(), "byte"),
           "1 to " + std::to_string(kMostBreakerBytes));
  }
  StepsInOrder(options, where);
}

}  // namespace stablelm
