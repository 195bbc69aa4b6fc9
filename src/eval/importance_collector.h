// Collects the importance of each matrix column (importance matrix): the sum of squares of its input activations over
// the tokens of a text, taken during the forward pass.
//
// Sums are in fp64 and add tokens in order, so that the bits depend neither on threads nor on chunks. 8 bytes for each
// column of each Linear (3.7 MB for the 3B shape).
#pragma once

#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/rewrite/importance.h"
#include "model/forward_observer.h"

namespace stablelm {

// Observes one pass at a time. The pool is not owned; it is used between the steps of a pass, so it may be the pool of
// the pass.
class ImportanceCollector : public ForwardObserver {
 public:
  ImportanceCollector(const ModelConfig& config, ThreadPool& pool);
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override;

  // The sums of every Linear, in the order of the weight table. The output matrix of a tied model has the embedding's
  // name.
  std::vector<ImportanceSums> Result() const { return sums_; }

 private:
  struct Input {
    int64_t layer;
    std::string_view module;  // whose output is the input of the matrix
  };
  ThreadPool& pool_;
  std::vector<Input> inputs_;         // [matrices]
  std::vector<ImportanceSums> sums_;  // [matrices]
};

}  // namespace stablelm
