// How much cache an engine should have on this machine.
#pragma once

#include <cstdint>

#include "generate/engine.h"
#include "model/memory_plan.h"

namespace stablelm {

// EngineSettings::cache_positions for requests of at most `longest` positions (at least 1, at most the context): room
// for settings.max_running of them, or for fewer when that would take more than half of the memory that is left beside
// weights and buffers; always for one, so that no result depends on it. Whether the one fits is for RequireFits to say.
int64_t CachePositionsFor(const ModelConfig& config, const WeightBytes& weights, EngineSettings settings,
                          int64_t longest, size_t threads, uint64_t available);

}  // namespace stablelm
