#include "generate/beam_search.h"

#include <algorithm>

#include "base/error.h"
#include "base/stopwatch.h"
#include "generate/sampling/logits_processors.h"
#include "generate/sampling/top_selection.h"
#include "model/inference_session.h"
#include "ops/scores/score_row.h"
#include "ops/scores/softmax.h"

namespace stablelm {
namespace {

void CheckRequest(const GenerateRequest& request) {
  if (request.sampling.Greedy()) return;
  throw Error({.where = "temperature",
               .what = "a beam search draws nothing",
               .expected = "0",
               .hint = "leave the temperature out, or use one beam"});
}

// State of one search: scores the next tokens of the running beams.
class Search {
 public:
  Search(const Transformer& model, const GenerateRequest& request, const BeamOptions& options, int64_t max_new_tokens)
      : request_(request),
        vocab_(static_cast<size_t>(model.config().vocab_size)),
        state_(options, request.stop_ids.size(), max_new_tokens),
        sampler_(SetupOf(request), model.config().vocab_size),
        workspace_(model.config().vocab_size),
        texts_(1, StoppedText(request.tokenizer, {.ids = request.stop_ids, .strings = request.stop_strings})),
        row_(vocab_),
        values_(vocab_ + kCollectPadding),
        finder_(vocab_ + kCollectPadding),
        ids_(vocab_ + kCollectPadding) {}

  const BeamState& state() const { return state_; }

  // logits [running beams, V]. Returns whether the search continues.
  bool Step(std::span<const float> logits, bool last) {
    candidates_.clear();
    const size_t wanted = state_.CandidatesWanted();
    for (size_t parent = 0; parent < state_.running().size(); ++parent) {
      AddCandidates(parent, logits.subspan(parent * vocab_, vocab_), wanted);
    }
    std::sort(candidates_.begin(), candidates_.end());
    candidates_.resize(std::min(candidates_.size(), wanted));
    if (!request_.stop_strings.empty()) FindStopStrings();
    const bool goes_on = state_.Advance(candidates_, last);
    if (!request_.stop_strings.empty()) FollowTexts();
    return goes_on;
  }

 private:
  void AddCandidates(size_t parent, std::span<const float> logits, size_t wanted) {
    const Beam& beam = state_.running()[parent];
    const double log_sum = LogSumExp(logits.data(), vocab_);
    for (size_t i = 0; i < vocab_; ++i) row_[i] = static_cast<float>(static_cast<double>(logits[i]) - log_sum);
    context_ = request_.prompt;
    context_.insert(context_.end(), beam.ids.begin(), beam.ids.end());
    sampler_.Process(row_, context_, static_cast<int64_t>(beam.ids.size()), workspace_);
    const size_t n = SelectTop(row_.data(), vocab_, wanted, ids_.data(), values_.data(), finder_);
    for (size_t i = 0; i < n; ++i) {
      const double score = static_cast<double>(values_[i]);
      candidates_.push_back({.parent = parent,
                             .id = ids_[i],
                             .logprob = static_cast<double>(logits[static_cast<size_t>(ids_[i])]) - log_sum,
                             .sum = beam.sum + score,
                             .is_stop = std::ranges::find(request_.stop_ids, ids_[i]) != request_.stop_ids.end()});
    }
  }

  // A candidate whose text contains a stop string is a stop.
  void FindStopStrings() {
    for (BeamCandidate& c : candidates_) {
      StoppedText text = texts_[c.parent];
      text.Add(c.id);
      c.is_stop = text.Cause().Found();
    }
  }
  void FollowTexts() {
    std::vector<StoppedText> next;
    for (size_t i = 0; i < state_.running().size(); ++i) {
      next.push_back(texts_[state_.parents()[i]]);
      next.back().Add(state_.running()[i].ids.back());
    }
    texts_ = std::move(next);
  }

  const GenerateRequest& request_;
  size_t vocab_;
  BeamState state_;
  Sampler sampler_;
  SamplerWorkspace workspace_;
  std::vector<StoppedText> texts_;  // of the running beams, kept up when there are stop strings
  std::vector<float> row_, values_;
  RankedCutFinder finder_;
  std::vector<int32_t> ids_, context_;
  std::vector<BeamCandidate> candidates_;
};

// The caches of the next beams: each forks its parent's. The last child takes over the parent's cache.
std::vector<KvSequence> Reordered(std::vector<KvSequence> caches, std::span<const size_t> parents) {
  std::vector<size_t> children(caches.size());
  for (const size_t parent : parents) ++children[parent];
  std::vector<KvSequence> next;
  next.reserve(parents.size());
  for (const size_t parent : parents) {
    if (--children[parent] > 0) {
      next.push_back(caches[parent].Fork());
    } else {
      next.push_back(std::move(caches[parent]));
    }
  }
  return next;
}

BeamResult ResultOf(Beam beam, const GenerateRequest& request, FinishReason otherwise) {
  BeamResult result;
  result.score = beam.score;
  result.reason = otherwise;
  StoppedText text(request.tokenizer, {.ids = request.stop_ids, .strings = request.stop_strings});
  for (const int32_t id : beam.ids) result.text += text.Add(id);
  result.text += text.Finish();
  result.stop = text.Cause();
  if (beam.stopped || result.stop.Found()) result.reason = FinishReason::kStop;
  result.ids = std::move(beam.ids);
  result.logprobs = std::move(beam.logprobs);
  return result;
}

}  // namespace

RunShape ShapeOfBeamSearch(const ModelConfig& config, const GenerateRequest& request, const BeamOptions& options,
                           DType kv, size_t threads, const std::string& where) {
  CheckBeamOptions(options);
  RunShape run = ShapeOfGenerate(config, request, kv, threads, where);
  run.sequences = options.beams;
  run.shared = static_cast<int64_t>(request.prompt.size());
  run.max_logit_rows = options.beams;
  run.max_rows = std::max(run.max_rows, options.beams);
  return run;
}

BeamSearchResult BeamSearch(const Transformer& model, const GenerateRequest& request, const BeamOptions& options,
                            const RunShape& run, ThreadPool& pool, const std::atomic<bool>* cancel) {
  STABLELM_CHECK(!request.prompt.empty() && request.max_new_tokens.value_or(1) >= 1);
  CheckBeamOptions(options);
  CheckRequest(request);
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const TokenLimit limit = LimitOf(request, std::min(run.context, model.config().max_positions) - prompt);
  BeamSearchResult result;
  if (limit.tokens <= 0) return result;
  FinishReason reason = limit.reason;
  Search search(model, request, options, limit.tokens);
  InferenceSession session(model, run, pool);
  std::vector<KvSequence> caches;
  caches.emplace_back(session.cache());
  const std::function<bool()> leave = LeaveWhenSet(cancel);

  const auto start = Clock::now();
  bool goes_on = true;
  const auto step = [&](std::span<const float> logits) {
    const bool late = request.max_time_s && SecondsSince(start) > *request.max_time_s;
    if (late) reason = FinishReason::kTime;
    goes_on = search.Step(logits, late);
  };
  try {
    session.ForwardInChunks(request.prompt, caches[0], {.logits_from = prompt - 1, .hooks = {.leave = leave}},
                            [&](int64_t, int64_t, std::span<const float> logits) {
                              result.prefill_s = SecondsSince(start);
                              step(logits);
                            });
  } catch (const Cancelled&) {
    return result;
  }
  const auto decode_start = Clock::now();
  std::vector<BatchSequence> batch;
  while (goes_on) {
    if (leave && leave()) {
      reason = FinishReason::kCancelled;
      break;
    }
    caches = Reordered(std::move(caches), search.state().parents());
    batch.clear();
    for (size_t i = 0; i < caches.size(); ++i) {
      batch.push_back({.tokens = {&search.state().running()[i].ids.back(), 1}, .cache = &caches[i], .logits_from = 0});
    }
    step(session.Forward(batch));
  }
  for (Beam& beam : search.state().Best()) result.beams.push_back(ResultOf(std::move(beam), request, reason));
  result.decode_s = SecondsSince(decode_start);
  return result;
}

}  // namespace stablelm
