// How much each column of every matrix is used: the squares of the activations that it meets, summed over the tokens of
// a text, gathered beside the one forward pass.
//
// The sums are kept in fp64, each column's in the order of the tokens: the same bits for any number of threads and any
// chunks. 8 bytes for each column of each Linear (3.7 MB for the 3B shape).
#pragma once

#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/rewrite/importance.h"
#include "model/forward_observer.h"

namespace stablelm {

// For passes of one thread, one after the other. The pool is not owned; it is used between the steps of a pass, so it
// may be the pass's own.
class ImportanceCollector : public ForwardObserver {
 public:
  ImportanceCollector(const ModelConfig& config, ThreadPool& pool);
  void OnStep(int64_t layer, std::string_view module, const float* y, int64_t rows, int64_t width) override;

  // Of every Linear, in the order of the weight table; the output matrix of a tied model under the embedding's name.
  std::vector<ImportanceSums> Result() const { return sums_; }

 private:
  struct Input {
    int64_t layer;
    std::string_view module;  // whose output the matrix takes
  };
  ThreadPool& pool_;
  std::vector<Input> inputs_;         // [matrices]
  std::vector<ImportanceSums> sums_;  // [matrices]
};

}  // namespace stablelm
