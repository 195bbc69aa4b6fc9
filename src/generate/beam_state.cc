#include "generate/beam_state.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace stablelm {
namespace {

constexpr double kLargestPenalty = 100;

}  // namespace

void CheckBeamOptions(const BeamOptions& o) {
  const auto refuse = [](const char* field, std::string found, std::string expected) {
    throw Error({.where = field, .what = "out of range", .found = std::move(found), .expected = std::move(expected)});
  };
  if (o.beams < 1 || o.beams > kMostBeams) refuse("beams", std::to_string(o.beams), "1 to 256");
  if (o.num_return < 1 || o.num_return > o.beams) {
    refuse("num_return", std::to_string(o.num_return), "1 to " + std::to_string(o.beams) + ", the number of beams");
  }
  if (!(std::abs(o.length_penalty) <= kLargestPenalty)) {
    refuse("length_penalty", std::to_string(o.length_penalty), "-100 to 100");
  }
}

bool operator<(const BeamCandidate& a, const BeamCandidate& b) {
  if (a.sum != b.sum) return a.sum > b.sum;
  if (a.parent != b.parent) return a.parent < b.parent;
  return a.id < b.id;
}

BeamState::BeamState(const BeamOptions& options, size_t n_stop_ids, int64_t max_new_tokens)
    : options_(options), n_stop_ids_(n_stop_ids), max_new_tokens_(max_new_tokens), running_(1) {
  CheckBeamOptions(options);
  STABLELM_CHECK(max_new_tokens >= 1);
}

size_t BeamState::CandidatesWanted() const {
  return std::max<size_t>(2, 1 + n_stop_ids_) * static_cast<size_t>(options_.beams);
}

double BeamState::Normalized(double sum, int64_t length) const {
  return sum / std::pow(static_cast<double>(length), options_.length_penalty);
}

void BeamState::Finish(Beam beam) {
  beam.score = Normalized(beam.sum, static_cast<int64_t>(beam.ids.size()));
  const auto worse =
      std::find_if(finished_.begin(), finished_.end(), [&](const Beam& b) { return b.score < beam.score; });
  finished_.insert(worse, std::move(beam));
  if (finished_.size() > static_cast<size_t>(options_.beams)) finished_.pop_back();
}

bool BeamState::ImprovementPossible() const {
  if (finished_.size() < static_cast<size_t>(options_.beams)) return true;
  if (running_.empty()) return false;
  const bool at_greatest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  return Normalized(running_.front().sum, at_greatest ? max_new_tokens_ : length_) > finished_.back().score;
}

bool BeamState::Advance(std::span<const BeamCandidate> candidates, bool last) {
  const size_t n = static_cast<size_t>(options_.beams);
  ++length_;
  last = last || length_ >= max_new_tokens_;
  std::vector<Beam> next;
  parents_.clear();
  for (size_t rank = 0; rank < candidates.size(); ++rank) {
    const BeamCandidate& c = candidates[rank];
    const bool ends = c.is_stop || last;
    // A candidate that ends a text counts only among the first n. The others are there to keep n beams running.
    if (ends ? rank >= n : next.size() == n) continue;
    Beam beam = running_[c.parent];
    beam.ids.push_back(c.id);
    beam.logprobs.push_back(c.logprob);
    beam.sum = c.sum;
    beam.stopped = c.is_stop;
    if (ends) {
      Finish(std::move(beam));
    } else {
      next.push_back(std::move(beam));
      parents_.push_back(c.parent);
    }
  }
  running_ = std::move(next);
  if (running_.empty() || (options_.early_stopping == EarlyStopping::kTrue && finished_.size() == n)) return false;
  return ImprovementPossible();
}

std::vector<Beam> BeamState::Best() const {
  std::vector<Beam> best = finished_;
  const size_t wanted = static_cast<size_t>(options_.num_return);
  for (const Beam& beam : running_) {
    if (best.size() >= wanted) break;
    if (beam.ids.empty()) continue;
    best.push_back(beam);
    best.back().score = Normalized(beam.sum, length_);
  }
  std::stable_sort(best.begin(), best.end(), [](const Beam& a, const Beam& b) { return a.score > b.score; });
  best.resize(std::min(best.size(), wanted));
  return best;
}

}  // namespace stablelm
