// log(sum(exp(x))) of a row: turns logits into log-probabilities.
#pragma once

#include <cstddef>

namespace stablelm {

// n >= 1. log p(i) = x[i] - LogSumExp(x, n). -inf entries count as probability 0; a row of only -inf gives -inf.
double LogSumExp(const float* x, size_t n);
double LogSumExpRef(const float* x, size_t n);

}  // namespace stablelm
