// The tokens that are left to draw from, and the draw. Temperature, top-k, top-p and min-p keep exactly the tokens that
// the plain filters (logits_filters.h) keep, and the same one is drawn, in a fraction of the time: a threshold that
// loses nothing is found first, and only what is above it is looked at.
//
// That both agree to the bit rests on the weights of ops/score_row.h: their sums do not depend on the order of adding
// or on which tokens of weight 0 are present.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stablelm {

struct DrawnToken {
  int32_t id = 0;
  double probability = 0;  // among the tokens that were left
};

class Candidates {
 public:
  explicit Candidates(int64_t vocab_size);

  // Starts with the entries of the row that are above -inf: at least one. The row is changed by ApplyTemperature and
  // stays with the caller, who keeps it until the draw.
  void Take(std::span<float> row);

  void ApplyTemperature(double temperature);
  void KeepTopK(int64_t k);
  void KeepTopP(double p);
  void KeepMinP(double min_p);

  // The first token, in order of ids, with which the sum of the weights exceeds `uniform` (in [0, 1)) of all of it.
  DrawnToken Draw(double uniform);

  // What is left, in order.
  std::vector<int32_t> Ids() const;

 private:
  // Into the arrays go the row's entries >= least.
  void Collect(float least);
  template <typename F>
  void Keep(const F& keep);

  std::span<float> row_;
  bool whole_row_ = true;  // else what is left is in the arrays
  size_t count_ = 0;
  std::vector<int32_t> ids_;
  std::vector<float> scores_, weights_, scratch_;
  std::vector<double> bins_;
  std::vector<int32_t> order_;
};

}  // namespace stablelm
