#include "model/adapter.h"

#include "ops/low_rank.h"

namespace stablelm {

void AddAdapters(std::span<const Adapter> adapters, const float* x, int64_t rows, float* y, ExecutionContext& exec) {
  for (const Adapter& adapter : adapters) {
    AddLowRank({.x = x, .m = rows, .a = &adapter.a, .b = &adapter.b, .scale = adapter.scale, .y = y}, exec);
  }
}

}  // namespace stablelm
