// Lets a caller observe and cancel a running forward pass.
//
// The two hooks are separate because observing costs time: with an observer, norms and activations are written to
// memory, and the final norm is computed for all rows. A pass that can only be cancelled is as fast as one without
// hooks.
#pragma once

#include <atomic>
#include <functional>

#include "model/forward_observer.h"

namespace stablelm {

struct Cancelled {};  // thrown by a cancelled pass; the caches are unchanged

struct PassHooks {
  ForwardObserver* observer = nullptr;  // may be null
  // Called before each layer and before the output projection, on the thread that runs the pass. True cancels the pass:
  // a prefill chunk takes many seconds with a large model, too long to wait for after Ctrl-C.
  std::function<bool()> leave = {};
};

// A PassHooks::leave that cancels once the flag is set; null: never.
inline std::function<bool()> LeaveWhenSet(const std::atomic<bool>* flag) {
  if (!flag) return {};
  return [flag] { return flag->load(std::memory_order_relaxed); };
}

}  // namespace stablelm
