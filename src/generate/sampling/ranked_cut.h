// Finds where the scores of a row, in descending order, reach a given mass, without sorting the row. For top-k and
// top-p.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stablelm {

// An entry of the row. Descending order puts larger scores first and breaks ties by the lower index.
struct RankedCut {
  float score = 0;
  size_t place = 0;
};

// Buffers for rows of up to `most` entries; Find allocates nothing. One thread at a time.
class RankedCutFinder {
 public:
  explicit RankedCutFinder(size_t most);

  // The first entry in descending order at which the cumulative weight reaches `mass`, which is at most the total; for
  // mass 0 the first entry. Without weights (null) every entry counts 1. Weights are those of SoftmaxWeights
  // (ops/scores/score_row.h), whose sums do not depend on the order. n >= 1. Nearly linear time: scores are counted in
  // bins of equal width between the largest and the smallest, and only the bin with the answer is refined.
  RankedCut Find(const float* scores, const float* weights, size_t n, double mass);

 private:
  struct Entry {
    float score;
    int32_t place;
  };
  std::vector<int32_t> bins_, found_, indices_;
  std::vector<float> scores_;  // of the entries in the refined bin; their indices are in indices_
  std::vector<double> sums_;
  std::vector<Entry> order_;
};

}  // namespace stablelm
