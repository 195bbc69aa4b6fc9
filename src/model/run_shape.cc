#include "model/run_shape.h"

#include "model/kv_cache.h"

namespace stablelm {

int64_t CachePages(const RunShape& run) {
  const int64_t shared = run.shared / kKvPageTokens;
  return shared + (KvCache::PagesFor(run.context) - shared) * run.sequences;
}

}  // namespace stablelm
