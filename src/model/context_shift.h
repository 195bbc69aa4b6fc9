// Context shift: drops a range of tokens from a full cache and moves the later tokens down into the gap.
//
// The cache stores rotated keys, so a key that moves down by d positions is rotated by -d: rotating by p and then by -d
// is rotating by p - d. Values carry no position and are moved unchanged. In the first layer the result equals the keys
// and values of the same tokens at their new positions, up to rounding. In later layers keys and values still depend on
// the dropped tokens, which they attended to, so the result is approximate. llama.cpp's context shift does the same
// (llama_kv_cache_seq_rm, then llama_kv_cache_seq_add). Each shift rounds the keys of a 16-bit or 8-bit cache once
// more; an 8-bit key gets a new scale, and each component changes by up to half of that scale.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "model/kv_cache.h"
#include "ops/rotary.h"

namespace stablelm {

// Drops tokens [keep, keep + dropped), which the sequence must have, and shortens it by `dropped`. Copies shared pages
// before it writes them. Throws Error and changes nothing when there are not enough free pages for the copies. Throws
// Error and truncates the sequence to `keep` when a rotated key overflows an fp16 cache.
void ShiftContext(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary, ThreadPool& pool);
// Reference for ShiftContext, token by token: gives the same bits.
void ShiftContextRef(KvSequence& sequence, int64_t keep, int64_t dropped, const RotaryTable& rotary);

}  // namespace stablelm
