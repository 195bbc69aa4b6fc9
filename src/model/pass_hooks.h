// What a caller may do while a forward pass runs: watch it, and end it early.
//
// The two are apart because watching has a price: with an observer, norms and activations are written out, and the
// final norm is computed for all rows. A pass that may only be left is as fast as one without hooks.
#pragma once

#include <atomic>
#include <functional>

#include "model/forward_observer.h"

namespace stablelm {

struct Cancelled {};  // thrown by a pass whose caller wants to leave it; the caches are as before

struct PassHooks {
  ForwardObserver* observer = nullptr;  // may be null
  // Asked before each layer and before the output projection, by the thread that runs the pass. True ends the pass: a
  // chunk of a long prompt through a large model takes many seconds, too long for someone who pressed Ctrl-C.
  std::function<bool()> leave = {};
};

// Leaves when somebody sets the flag; null: never.
inline std::function<bool()> LeaveWhenSet(const std::atomic<bool>* flag) {
  if (!flag) return {};
  return [flag] { return flag->load(std::memory_order_relaxed); };
}

}  // namespace stablelm
