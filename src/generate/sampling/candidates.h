// The tokens that are left to draw from, and the draw. Temperature, top-k, top-p, min-p and mirostat keep exactly the
// tokens that the plain filters (logits_filters.h) keep, and the same one is drawn, in a fraction of the time. Where
// few tokens are left they are gathered; where many are, as in a flat distribution, the others are crossed out in the
// row. Weights are computed once and stay with their tokens.
//
// That both agree to the bit rests on the weights of ops/scores/score_row.h: their sums do not depend on the order of
// adding or on which tokens of weight 0 are present.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/sampling/ranked_cut.h"

namespace stablelm {

struct DrawnToken {
  int32_t id = 0;
  double probability = 0;  // among the tokens that were left
};

class Candidates {
 public:
  explicit Candidates(int64_t vocab_size);

  // Starts with the entries of the row that are above -inf: at least one. The row is changed by the filters and stays
  // with the caller, who keeps it until the draw.
  void Take(std::span<float> row);

  void ApplyTemperature(double temperature);
  void KeepTopK(int64_t k);
  void KeepTopP(double p);
  void KeepMinP(double min_p);
  void KeepSurprise(double mu);

  // The first token, in order of ids, with which the sum of the weights exceeds `uniform` (in [0, 1)) of all of it.
  DrawnToken Draw(double uniform);

  // What is left, in order.
  std::vector<int32_t> Ids() const;

 private:
  float* scores() { return whole_row_ ? row_.data() : scores_.data(); }
  size_t size() const { return whole_row_ ? row_.size() : count_; }
  // Whether so few of the row's entries are >= least that it pays to gather them.
  bool FewAtLeast(float least) const;
  // Into the arrays go the row's entries >= least, with their weights if they are known.
  void Collect(float least);
  // The weights of what is left, unless they are known.
  void Weigh();
  // Keeps the tokens whose weight is at least `least`.
  void KeepWeights(double least);
  template <typename F>
  void Keep(const F& keep);

  std::span<float> row_;
  bool whole_row_ = true;  // else what is left is in the arrays
  size_t count_ = 0;
  std::vector<int32_t> ids_;
  std::vector<float> scores_, weights_;
  bool weighed_ = false;  // weights_, max_ and total_ are those of what is left
  float max_ = 0;
  double total_ = 0;
  RankedCutFinder finder_;
};

}  // namespace stablelm
