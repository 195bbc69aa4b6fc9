#include "generate/engine_memory.h"

#include <algorithm>

#include "model/kv_cache.h"

namespace stablelm {

int64_t CachePositionsFor(const ModelConfig& config, const WeightBytes& weights, EngineSettings settings,
                          int64_t longest, size_t threads, uint64_t available) {
  const int64_t one = KvCache::PagesFor(longest);
  settings.cache_positions = longest;
  const uint64_t page = KvCache::BytesPerPage(config, settings.kv_type);
  const uint64_t beside =
      PlanMemory(config, weights, ShapeOfEngine(settings, threads)).Total() - static_cast<uint64_t>(one) * page;
  const uint64_t free = available > beside ? available - beside : 0;
  const int64_t affordable = static_cast<int64_t>(free / 2 / page);
  return std::max(one, std::min(affordable, one * settings.max_running)) * kKvPageTokens;
}

}  // namespace stablelm
