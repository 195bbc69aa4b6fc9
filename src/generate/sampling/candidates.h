// The candidate tokens for sampling, with fast filters. Temperature, top-k, top-p, min-p and mirostat keep exactly the
// tokens that the plain filters (logits_filters.h) keep, and the same token is sampled, in a fraction of the time. Few
// remaining candidates are gathered into arrays; with many, as in a flat distribution, the removed tokens are masked in
// the row. Weights are computed once and move with their tokens.
//
// Both agree bit for bit because the sums of the weights of ops/scores/score_row.h depend neither on the order of
// addition nor on which tokens of weight 0 are present.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/sampling/ranked_cut.h"

namespace stablelm {

struct DrawnToken {
  int32_t id = 0;
  double probability = 0;  // among the remaining candidates
};

class Candidates {
 public:
  explicit Candidates(int64_t vocab_size);

  // Starts with the entries of the row that are above -inf: at least one. The filters change the row. The caller owns
  // it and must keep it until Draw.
  void Take(std::span<float> row);

  void ApplyTemperature(double temperature);
  void KeepTopK(int64_t k);
  void KeepTopP(double p);
  void KeepMinP(double min_p);
  void KeepSurprise(double mu);

  // Samples: returns the first token, in id order, at which the cumulative weight exceeds `uniform` (in [0, 1)) times
  // the total.
  DrawnToken Draw(double uniform);

  // Ids of the remaining candidates, ascending.
  std::vector<int32_t> Ids() const;

 private:
  float* scores() { return whole_row_ ? row_.data() : scores_.data(); }
  size_t size() const { return whole_row_ ? row_.size() : count_; }
  // Whether few enough entries of the row are >= least to gather them.
  bool FewAtLeast(float least) const;
  // Gathers the row's entries >= least into the arrays, with their weights if computed.
  void Collect(float least);
  // Computes the weights of the candidates unless they are up to date.
  void Weigh();
  // Keeps candidates whose weight is at least `least`.
  void KeepWeights(double least);
  template <typename F>
  void Keep(const F& keep);

  std::span<float> row_;
  bool whole_row_ = true;  // candidates are in row_; else gathered in the arrays
  size_t count_ = 0;
  std::vector<int32_t> ids_;
  std::vector<float> scores_, weights_;
  bool weighed_ = false;  // weights_, max_ and total_ are up to date
  float max_ = 0;
  double total_ = 0;
  RankedCutFinder finder_;
};

}  // namespace stablelm
