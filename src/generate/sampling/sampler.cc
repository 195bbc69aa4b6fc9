#include "generate/sampling/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/scores/score_row.h"
#include "ops/scores/softmax.h"

namespace stablelm {
namespace {

using S = SamplerStep;

bool IsFast(S step, const SamplingOptions& options) {
  return (step == S::kTemperature && options.dynatemp_range == 0) || step == S::kTopK || step == S::kTopP ||
         step == S::kMinP || step == S::kMirostat;
}

}  // namespace

struct Sampler::Place {
  std::span<float> scores;
  std::span<const int32_t> ids;
  int64_t generated;
  SamplerWorkspace& ws;
};

SamplerWorkspace::SamplerWorkspace(int64_t vocab_size)
    : row_(static_cast<size_t>(vocab_size)),
      counts_(vocab_size),
      dry_(vocab_size),
      candidates_(vocab_size),
      top_(vocab_size) {}

Sampler::Sampler(SamplerSetup setup, int64_t vocab_size)
    : setup_(std::move(setup)), vocab_size_(vocab_size), random_(setup_.seed) {
  STABLELM_CHECK(vocab_size >= 1);
  CheckSamplingOptions(setup_.options, vocab_size);
  if (setup_.known_ids <= 0 || setup_.known_ids > vocab_size) setup_.known_ids = vocab_size;
  setup_.top_logprobs = std::clamp(setup_.top_logprobs, int64_t{0}, setup_.known_ids);
  steps_ = StepsInOrder(setup_.options);
  std::erase_if(steps_, [&](S step) {
    if (step == S::kPadding) return setup_.known_ids == vocab_size && setup_.banned_ids.empty();
    if (step == S::kConstraint) return setup_.constraint == nullptr;
    return IsFilter(step) && greedy();
  });
  any_processor_ = std::any_of(steps_.begin(), steps_.end(), [](S step) { return !IsFilter(step); });
  const auto first_filter = std::find_if(steps_.begin(), steps_.end(), IsFilter);
  fast_ =
      !setup_.plain && std::all_of(first_filter, steps_.end(), [&](S step) { return IsFast(step, setup_.options); });
  if (setup_.options.mirostat == 2 && !greedy()) {
    mirostat_mu_.reserve(4096);
    // A resumed sample starts anew here: the surprises of its tokens are not known.
    mirostat_mu_.assign(static_cast<size_t>(std::max<int64_t>(setup_.begun, 0)) + 1, 2 * setup_.options.mirostat_tau);
  }
}

void Sampler::Truncate(int64_t generated) {
  STABLELM_CHECK(generated >= 0);
  if (generated >= accepted_) return;
  accepted_ = generated;
  if (!mirostat_mu_.empty()) {
    mirostat_mu_.resize(std::min(mirostat_mu_.size(), static_cast<size_t>(generated) + 1));
  }
  if (setup_.constraint) setup_.constraint->Truncate(generated);
}

void Sampler::RunProcessor(SamplerStep step, const Place& at, Removal& removal) {
  const SamplingOptions& o = setup_.options;
  const std::span<float> scores = at.scores;
  const auto window = [&] { return LastIds(at.ids, o.penalty_last_n); };
  switch (step) {
    case S::kPadding:
      for (int64_t id = setup_.known_ids; id < vocab_size_; ++id) Remove(scores, static_cast<int32_t>(id), removal);
      RemoveAll(scores, setup_.banned_ids, removal);
      break;
    case S::kLogitBias:
      AddLogitBias(scores, o.logit_bias, removal);
      break;
    case S::kRepetitionPenalty:
      PenalizeRepetition(scores, window(), o.repetition_penalty, at.ws.counts_);
      break;
    case S::kDry:
      at.ws.dry_.Apply(scores, LastIds(at.ids, o.dry_last_n),
                       {.multiplier = o.dry_multiplier, .base = o.dry_base, .allowed_length = o.dry_allowed_length},
                       setup_.tokenizer ? &*setup_.tokenizer : nullptr, o.dry_breakers);
      break;
    case S::kPresencePenalty:
      PenalizePresence(scores, window(), o.presence_penalty, at.ws.counts_);
      break;
    case S::kFrequencyPenalty:
      PenalizeFrequency(scores, window(), o.frequency_penalty, at.ws.counts_);
      break;
    case S::kNoRepeatNgram:
      BanRepeatedNgrams(scores, at.ids, o.no_repeat_ngram_size, removal);
      break;
    case S::kBadWords:
      BanWords(scores, at.ids, o.bad_words, setup_.stop_ids, removal);
      break;
    case S::kMinLength:
      if (static_cast<int64_t>(at.ids.size()) < o.min_length) RemoveAll(scores, setup_.stop_ids, removal);
      break;
    case S::kMinNewTokens:
      if (at.generated < o.min_new_tokens) RemoveAll(scores, setup_.stop_ids, removal);
      break;
    case S::kConstraint: {
      // A constraint does not report removals, so remember the best token before it.
      const float best = MaxOf(scores.data(), scores.size());
      removal = {static_cast<int32_t>(FirstEqual(scores.data(), scores.size(), best)), best};
      setup_.constraint->Apply(scores);
      break;
    }
    case S::kLengthDecay:
      DecayLength(scores, setup_.stop_ids, at.generated, o.length_decay_start, o.length_decay_factor);
      break;
    case S::kSuppress:
      RemoveAll(scores, o.suppress_tokens, removal);
      break;
    case S::kBeginSuppress:
      if (at.generated == 0) RemoveAll(scores, o.begin_suppress_tokens, removal);
      break;
    default:
      STABLELM_CHECK(false);
  }
}

std::string_view Sampler::RunGuarded(SamplerStep step, const Place& at) {
  Removal removal;
  RunProcessor(step, at, removal);
  if (removal.id < 0 || MaxOf(at.scores.data(), at.scores.size()) != kRemoved) return {};
  at.scores[static_cast<size_t>(removal.id)] = removal.score;
  return NameOf(step);
}

std::string_view Sampler::Process(std::span<float> scores, std::span<const int32_t> ids, int64_t generated,
                                  SamplerWorkspace& workspace) {
  const Place at = {.scores = scores, .ids = ids, .generated = generated, .ws = workspace};
  std::string_view emptied_by;
  for (const SamplerStep step : steps_) {
    if (IsFilter(step)) continue;
    const std::string_view emptied = RunGuarded(step, at);
    if (emptied_by.empty()) emptied_by = emptied;
  }
  return emptied_by;
}

void Sampler::RunFilter(SamplerStep step, const Place& at) {
  const SamplingOptions& o = setup_.options;
  const std::span<float> scores = at.scores;
  FilterScratch& scratch = at.ws.filters_;
  switch (step) {
    case S::kTemperature:
      ApplyTemperature(scores, o.dynatemp_range > 0 ? DynamicTemperature(scores, o.temperature, o.dynatemp_range,
                                                                         o.dynatemp_exponent, scratch)
                                                    : o.temperature);
      break;
    case S::kTopNSigma:
      KeepTopNSigma(scores, o.top_n_sigma);
      break;
    case S::kTopK:
      KeepTopK(scores, o.top_k, scratch);
      break;
    case S::kTopP:
      KeepTopP(scores, o.top_p, scratch);
      break;
    case S::kMinP:
      KeepMinP(scores, o.min_p, scratch);
      break;
    case S::kTypicalP:
      KeepTypicalP(scores, o.typical_p, scratch);
      break;
    case S::kEpsilonCutoff:
      CutEpsilon(scores, o.epsilon_cutoff, scratch);
      break;
    case S::kEtaCutoff:
      CutEta(scores, o.eta_cutoff, scratch);
      break;
    case S::kXtc: {
      // Words 2 and 3 of the Philox block whose words 0 and 1 are used for sampling (Philox::Uniform).
      const auto words = random_.Block(setup_.sample, static_cast<uint64_t>(at.generated));
      const double u = static_cast<double>(((uint64_t{words[2]} << 32) | words[3]) >> 11) * 0x1p-53;
      if (u < o.xtc_probability) ExcludeTopChoices(scores, o.xtc_threshold, scratch);
      break;
    }
    case S::kMirostat:
      KeepSurprise(scores, mirostat_mu_.back(), scratch);
      break;
    default:
      STABLELM_CHECK(false);
  }
}

void Sampler::RunFast(SamplerStep step, Candidates& candidates) const {
  const SamplingOptions& o = setup_.options;
  switch (step) {
    case S::kTemperature:
      return candidates.ApplyTemperature(o.temperature);
    case S::kTopK:
      return candidates.KeepTopK(o.top_k);
    case S::kTopP:
      return candidates.KeepTopP(o.top_p);
    case S::kMinP:
      return candidates.KeepMinP(o.min_p);
    case S::kMirostat:
      return candidates.KeepSurprise(mirostat_mu_.back());
    default:
      STABLELM_CHECK(false);
  }
}

int32_t Sampler::Draw(const Place& at) {
  Candidates& candidates = at.ws.candidates_;
  candidates.Take(at.scores);
  if (fast_) {
    for (const SamplerStep step : steps_) {
      if (IsFilter(step)) RunFast(step, candidates);
    }
  }
  const DrawnToken drawn = candidates.Draw(random_.Uniform(setup_.sample, static_cast<uint64_t>(at.generated)));
  at.ws.drawn_ = true;
  if (setup_.options.mirostat == 2) {
    mirostat_mu_.push_back(mirostat_mu_.back() -
                           setup_.options.mirostat_eta * (-std::log2(drawn.probability) - setup_.options.mirostat_tau));
  }
  return drawn.id;
}

ChosenToken Sampler::Choose(std::span<const float> logits, std::span<const int32_t> ids, int64_t generated,
                            SamplerWorkspace& ws) {
  STABLELM_CHECK(logits.size() == static_cast<size_t>(vocab_size_) && ws.row_.size() == logits.size());
  STABLELM_CHECK(generated >= 0);
  const auto best_of = [](std::span<const float> row, float max) {
    return static_cast<int32_t>(FirstEqual(row.data(), row.size(), max));
  };
  const float max = MaxOf(logits.data(), logits.size());
  if (!IsScoreRow(logits.data(), logits.size()) || max == kRemoved) {
    throw Error({.where = "sampling",
                 .what = "the logits are not numbers to choose by",
                 .found = "NaN, +infinity or nothing but -infinity",
                 .hint = "check the weights: load them with `check_weights`"});
  }
  Truncate(generated);
  STABLELM_CHECK(mirostat_mu_.empty() || mirostat_mu_.size() == static_cast<size_t>(generated) + 1);
  ws.drawn_ = false;
  ChosenToken token;
  if (greedy() && !any_processor_) {
    token.id = best_of(logits, max);
  } else {
    std::copy(logits.begin(), logits.end(), ws.row_.begin());
    const Place at = {.scores = ws.row_, .ids = ids, .generated = generated, .ws = ws};
    for (const SamplerStep step : steps_) {
      if (IsFilter(step)) {
        if (!fast_) RunFilter(step, at);
        continue;
      }
      const std::string_view emptied = RunGuarded(step, at);
      if (token.emptied_by.empty()) token.emptied_by = emptied;
    }
    token.id = greedy() ? best_of(ws.row_, MaxOf(ws.row_.data(), ws.row_.size())) : Draw(at);
  }
  const double log_sum = LogSumExp(logits.data(), logits.size());
  token.logprob = static_cast<double>(logits[static_cast<size_t>(token.id)]) - log_sum;
  token.top = ws.top_.Of(logits, setup_.known_ids, setup_.top_logprobs, log_sum);
  if (setup_.constraint) setup_.constraint->Accept(token.id);
  accepted_ = generated + 1;
  return token;
}

}  // namespace stablelm
