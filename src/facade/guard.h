// The border between the library and its callers: turns what the floors below throw into ModelError, and keeps the
// calls of one object apart.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "stablelm/error.h"

namespace stablelm {

// What a callback of the caller threw, on its way back to the caller.
struct CallbackFailure {
  std::exception_ptr cause;
};
template <typename F>
void CallBack(F&& callback) {
  try {
    callback();
  } catch (...) {
    throw CallbackFailure{std::current_exception()};
  }
}

// Call it in a catch block. Rethrows the exception as ModelError of the kind that its type says, else of `standard`;
// what a callback threw, as it was.
[[noreturn]] void RethrowForCaller(ErrorKind standard);

// body(), with its exceptions turned.
template <typename F>
auto Guarded(ErrorKind standard, F&& body) -> decltype(body()) {
  try {
    return std::forward<F>(body)();
  } catch (...) {
    RethrowForCaller(standard);
  }
}

// One call at a time; the others wait for their turn.
class Turns {
 public:
  // A turn lasts as long as this object. Throws UsageError in a callback of the call whose turn it is, which would wait
  // for itself.
  class Turn {
   public:
    explicit Turn(Turns& turns);
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    Turns& turns_;
  };

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> thread_ = {};  // whose turn it is
};

}  // namespace stablelm
