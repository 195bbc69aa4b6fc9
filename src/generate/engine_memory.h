// Sizes the cache of an engine to this machine.
#pragma once

#include <cstdint>

#include "generate/engine.h"
#include "model/memory_plan.h"

namespace stablelm {

// EngineSettings::cache_positions for requests of at most `longest` tokens (at least 1, at most the context): room for
// settings.max_running requests, but at most half of the memory that weights and buffers leave free, and always room
// for one request, so that no result depends on the memory. RequireFits checks whether that one fits.
int64_t CachePositionsFor(const ModelConfig& config, const WeightBytes& weights, EngineSettings settings,
                          int64_t longest, size_t threads, uint64_t available);

}  // namespace stablelm
