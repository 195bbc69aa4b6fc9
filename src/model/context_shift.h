// Making room in a full cache: a stretch of positions is dropped, and what is behind it moves down to its place.
//
// Keys are stored after rotation, so a key that moves down by d positions is turned back by d: the rotation by p - d is
// that by p and then by -d. Values have no position and move as they are. In the first layer this gives the keys and
// values of the same tokens at their new positions, up to rounding; in the layers above they were computed while the
// dropped positions could still be seen, and keep what they saw: the result is approximate. (What llama.cpp calls
// context shift: llama_kv_cache_seq_rm, then llama_kv_cache_seq_add.) A key of a 16-bit or 8-bit cache is rounded once
// more by each shift; with 8 bits it gets a scale anew, so that every component moves by up to half of that scale.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "model/kv_cache.h"
#include "ops/rotary.h"

namespace stablelm {

// Drops the positions [keep, keep + dropped) of the sequence, which has them; it is then shorter by `dropped`. Pages
// that others hold too are copied before they are written. Throws Error when pages for that run out, with nothing
// changed, and when a key that is turned outgrows an fp16 cache, with all positions from `keep` on gone.
void ShiftContext(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary, ThreadPool& pool);
// The same bits, position by position.
void ShiftContextRef(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary);

}  // namespace stablelm
