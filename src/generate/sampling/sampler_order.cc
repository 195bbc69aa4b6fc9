#include "generate/sampling/sampler_order.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace stablelm {
namespace {

using S = SamplerStep;

constexpr S kHf[] = {S::kPadding,
                     S::kLogitBias,
                     S::kRepetitionPenalty,
                     S::kDry,
                     S::kPresencePenalty,
                     S::kFrequencyPenalty,
                     S::kNoRepeatNgram,
                     S::kBadWords,
                     S::kMinLength,
                     S::kMinNewTokens,
                     S::kConstraint,
                     S::kLengthDecay,
                     S::kSuppress,
                     S::kBeginSuppress,
                     S::kTemperature,
                     S::kTopNSigma,
                     S::kTopK,
                     S::kTopP,
                     S::kMinP,
                     S::kTypicalP,
                     S::kEpsilonCutoff,
                     S::kEtaCutoff,
                     S::kXtc,
                     S::kMirostat};
// Steps that a list cannot move: they remove tokens known in advance (or add the bias), so they come first.
constexpr S kMasks[] = {S::kPadding,      S::kLogitBias,  S::kNoRepeatNgram, S::kBadWords,     S::kMinLength,
                        S::kMinNewTokens, S::kConstraint, S::kSuppress,      S::kBeginSuppress};
constexpr S kLlama[] = {S::kRepetitionPenalty,
                        S::kPresencePenalty,
                        S::kFrequencyPenalty,
                        S::kDry,
                        S::kLengthDecay,
                        S::kTopNSigma,
                        S::kTopK,
                        S::kTypicalP,
                        S::kTopP,
                        S::kMinP,
                        S::kEpsilonCutoff,
                        S::kEtaCutoff,
                        S::kXtc,
                        S::kTemperature,
                        S::kMirostat};

bool IsMask(S step) { return std::find(std::begin(kMasks), std::end(kMasks), step) != std::end(kMasks); }

bool Active(S step, const SamplingOptions& o) {
  // Mirostat replaces the filters after the temperature.
  if (step > S::kTemperature && step < S::kMirostat && o.mirostat == 2) return false;
  switch (step) {
    case S::kPadding:
    case S::kConstraint:
      return true;
    case S::kLogitBias:
      return !o.logit_bias.empty();
    case S::kRepetitionPenalty:
      return o.repetition_penalty != 1;
    case S::kDry:
      return o.dry_multiplier > 0;
    case S::kPresencePenalty:
      return o.presence_penalty != 0;
    case S::kFrequencyPenalty:
      return o.frequency_penalty != 0;
    case S::kNoRepeatNgram:
      return o.no_repeat_ngram_size > 0;
    case S::kBadWords:
      return !o.bad_words.empty();
    case S::kMinLength:
      return o.min_length > 0;
    case S::kMinNewTokens:
      return o.min_new_tokens > 0;
    case S::kLengthDecay:
      return o.length_decay_factor != 1;
    case S::kSuppress:
      return !o.suppress_tokens.empty();
    case S::kBeginSuppress:
      return !o.begin_suppress_tokens.empty();
    case S::kTemperature:
      return (o.temperature > 0 && o.temperature != 1) || o.dynatemp_range > 0;
    case S::kTopNSigma:
      return o.top_n_sigma > 0;
    case S::kTopK:
      return o.top_k > 0;
    case S::kTopP:
      return o.top_p < 1;
    case S::kMinP:
      return o.min_p > 0;
    case S::kTypicalP:
      return o.typical_p < 1;
    case S::kEpsilonCutoff:
      return o.epsilon_cutoff > 0;
    case S::kEtaCutoff:
      return o.eta_cutoff > 0;
    case S::kXtc:
      return o.xtc_probability > 0;
    case S::kMirostat:
      return o.mirostat == 2;
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> ListedNames() {
  std::vector<std::string> names;
  for (const S step : kHf) {
    if (!IsMask(step)) names.emplace_back(NameOf(step));
  }
  return names;
}

std::vector<S> ParseList(std::string_view text, const std::string& where) {
  std::vector<S> steps;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    const auto step =
        std::find_if(std::begin(kHf), std::end(kHf), [&](S s) { return !IsMask(s) && NameOf(s) == name; });
    if (step == std::end(kHf)) {
      const std::vector<std::string> known = ListedNames();
      throw Error({.where = where,
                   .what = "unknown name",
                   .found = Quoted(name),
                   .expected = "hf, llama or a list of: " + Joined(known),
                   .hint = DidYouMean(name, known)});
    }
    if (std::find(steps.begin(), steps.end(), *step) != steps.end()) {
      throw Error({.where = where, .what = "a step is named twice", .found = Quoted(name), .hint = "name it once"});
    }
    steps.push_back(*step);
    if (comma == std::string_view::npos) return steps;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string_view NameOf(SamplerStep step) {
  switch (step) {
    case S::kPadding:
      return "padding";
    case S::kLogitBias:
      return "logit_bias";
    case S::kRepetitionPenalty:
      return "repetition_penalty";
    case S::kDry:
      return "dry";
    case S::kPresencePenalty:
      return "presence_penalty";
    case S::kFrequencyPenalty:
      return "frequency_penalty";
    case S::kNoRepeatNgram:
      return "no_repeat_ngram";
    case S::kBadWords:
      return "bad_words";
    case S::kMinLength:
      return "min_length";
    case S::kMinNewTokens:
      return "min_new_tokens";
    case S::kConstraint:
      return "constraint";
    case S::kLengthDecay:
      return "length_decay";
    case S::kSuppress:
      return "suppress_tokens";
    case S::kBeginSuppress:
      return "begin_suppress_tokens";
    case S::kTemperature:
      return "temperature";
    case S::kTopNSigma:
      return "top_n_sigma";
    case S::kTopK:
      return "top_k";
    case S::kTopP:
      return "top_p";
    case S::kMinP:
      return "min_p";
    case S::kTypicalP:
      return "typical_p";
    case S::kEpsilonCutoff:
      return "epsilon_cutoff";
    case S::kEtaCutoff:
      return "eta_cutoff";
    case S::kXtc:
      return "xtc";
    case S::kMirostat:
      return "mirostat";
  }
  STABLELM_CHECK(false);
}

std::vector<SamplerStep> StepsInOrder(const SamplingOptions& options, const std::string& where) {
  std::vector<S> order;
  if (options.sampler_order == "hf") {
    order.assign(std::begin(kHf), std::end(kHf));
  } else {
    order.assign(std::begin(kMasks), std::end(kMasks));
    const std::vector<S> listed = options.sampler_order == "llama"
                                      ? std::vector<S>(std::begin(kLlama), std::end(kLlama))
                                      : ParseList(options.sampler_order, where + "sampler_order");
    order.insert(order.end(), listed.begin(), listed.end());
    for (const S step : kHf) {
      if (!Active(step, options) || std::find(order.begin(), order.end(), step) != order.end()) continue;
      if (IsFilter(step) && options.Greedy()) continue;
      throw Error({.where = where + "sampler_order",
                   .what = "leaves out a step whose parameter is set",
                   .found = Quoted(options.sampler_order),
                   .expected = std::string(NameOf(step)) + " among the names"});
    }
  }
  std::erase_if(order, [&](S step) { return !Active(step, options); });
  return order;
}

}  // namespace stablelm
