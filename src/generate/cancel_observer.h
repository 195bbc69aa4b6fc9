// Ends a forward pass between two layers when a flag is set: a chunk of a long prompt through a large model takes many
// seconds, too long for someone who pressed Ctrl-C.
#pragma once

#include <atomic>
#include <cstdint>

#include "model/forward_observer.h"

namespace stablelm {

struct Cancelled {};  // thrown through Transformer::Forward, which leaves the caches as they were

class CancelObserver : public ForwardObserver {
 public:
  // `flag` may be null: never cancelled.
  explicit CancelObserver(const std::atomic<bool>* flag) : flag_(flag) {}
  bool Asked() const { return flag_ && flag_->load(std::memory_order_relaxed); }
  void OnHidden(int64_t, const float*, int64_t, int64_t) override {
    if (Asked()) throw Cancelled();
  }

 private:
  const std::atomic<bool>* flag_;
};

}  // namespace stablelm
