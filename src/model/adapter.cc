#include "model/adapter.h"

#include "base/error.h"
#include "ops/low_rank.h"
#include "ops/random/dropout.h"

namespace stablelm {

void AdapterDropout::Apply(const Adapter& adapter, const float* x, int64_t rows, float* to, bool add,
                           ExecutionContext& exec) const {
  STABLELM_CHECK(step < uint64_t{1} << 40 && adapter.key < uint32_t{1} << 24);
  Dropout({.x = x,
           .rows = static_cast<size_t>(rows),
           .width = adapter.a.columns(),
           .rate = rate,
           .seed = seed,
           .stream = uint64_t{adapter.key} << 40 | step,
           .first_row = first_row,
           .y = to,
           .add = add},
          exec);
}

void AddAdapters(std::span<const Adapter> adapters, const float* x, int64_t rows, float* y, ExecutionContext& exec,
                 const AdapterDropout* dropout) {
  for (const Adapter& adapter : adapters) {
    const float* read = x;
    if (dropout) {
      dropout->Apply(adapter, x, rows, dropout->buffer, false, exec);
      read = dropout->buffer;
    }
    AddLowRank({.x = read, .m = rows, .a = &adapter.a, .b = &adapter.b, .scale = adapter.scale, .y = y}, exec);
  }
}

}  // namespace stablelm
