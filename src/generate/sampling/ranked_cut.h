// Where the falling order of a row of scores reaches a given mass: what top-k and top-p need, without sorting the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stablelm {

// An entry of the row. Before it in the falling order: all with a larger score, and those with the same and a lower
// place.
struct RankedCut {
  float score = 0;
  size_t place = 0;
};

// Buffers for rows of up to `most` entries: nothing is allocated by Find. One thread at a time.
class RankedCutFinder {
 public:
  explicit RankedCutFinder(size_t most);

  // The first entry in falling order with which the sum of the weights is at least `mass`, which is at most the sum of
  // all; for a mass of 0 the first of all. Without weights (null) every entry counts 1. The weights are those of
  // SoftmaxWeights (ops/scores/score_row.h), whose sums have no order. n >= 1. The time is near linear: scores are
  // counted in bins of equal width between the largest and the smallest, and only the bin with the answer is looked at
  // closer.
  RankedCut Find(const float* scores, const float* weights, size_t n, double mass);

 private:
  struct Entry {
    float score;
    int32_t place;
  };
  std::vector<int32_t> bins_, found_, places_;
  std::vector<float> scores_;  // of the entries that are looked at closer; their places are in places_
  std::vector<double> sums_;
  std::vector<Entry> order_;
};

}  // namespace stablelm
