#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace stablelm {
namespace {

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A forward pass runs some hundred loops of 10 µs to 10 ms. Waking a sleeping thread (~50 µs) would take longer than
// many of them, so a waiting thread spins for this many pauses (roughly 50 µs) before it sleeps.
constexpr int kSpins = 2000;

}  // namespace

struct ThreadPool::State {
  // Next step of a worker's range in ForSteps. One cache line each, against false sharing.
  struct alignas(64) Cursor {
    std::atomic<size_t> next{0};
  };
  std::vector<Cursor> cursors;
  std::vector<std::thread> threads;
  std::atomic<size_t> round{0};      // incremented by each RunOnAll
  std::atomic<size_t> remaining{0};  // helper threads still working in this round
  std::atomic<bool> stop{false};
  const FunctionRef<void(size_t)>* body = nullptr;
  std::exception_ptr error;

  // Sleeping threads. A thread announces that it sleeps before its last check of the condition. The waking thread
  // changes the condition before it checks for sleepers. All these accesses are sequentially consistent, so no wake-up
  // is lost. While all threads spin, nobody takes the lock or notifies.
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::atomic<size_t> sleepers{0};
  std::atomic<bool> caller_sleeps{false};

  void Call(size_t worker) {
    try {
      (*body)(worker);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }

  void WaitForRound(size_t seen) {
    for (int i = 0; i < kSpins; ++i) {
      if (round.load(std::memory_order_acquire) != seen) return;
      Pause();
    }
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return round.load() != seen; });
    sleepers.fetch_sub(1);
  }

  void WaitForHelpers() {
    for (int i = 0; i < kSpins; ++i) {
      if (remaining.load(std::memory_order_acquire) == 0) return;
      Pause();
    }
    std::unique_lock lock(mutex);
    caller_sleeps.exchange(true);  // not store(): QEMU's Arm emulation reorders the load below before a store
    done.wait(lock, [&] { return remaining.load() == 0; });
    caller_sleeps.store(false);
  }

  void Loop(size_t worker) {
    for (size_t seen = 0;; ++seen) {
      WaitForRound(seen);
      if (stop.load(std::memory_order_acquire)) return;
      Call(worker);
      if (remaining.fetch_sub(1) == 1 && caller_sleeps.load()) {
        const std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }

  void Stop() {
    stop.store(true, std::memory_order_release);
    StartRound();
    for (std::thread& t : threads) t.join();
  }

  void StartRound() {
    round.fetch_add(1);
    if (sleepers.load() == 0) return;
    { const std::lock_guard lock(mutex); }  // each announced sleeper now waits, or will see the new round
    wake.notify_all();
  }
};

ThreadPool::ThreadPool(size_t threads) : state_(std::make_unique<State>()) {
  STABLELM_CHECK(threads >= 1);
  state_->cursors = std::vector<State::Cursor>(threads);
  try {
    for (size_t i = 1; i < threads; ++i) state_->threads.emplace_back([state = state_.get(), i] { state->Loop(i); });
  } catch (const std::system_error& e) {
    const std::string started = std::to_string(state_->threads.size() + 1);
    state_->Stop();
    throw Error({.where = "threads",
                 .what = "the system allows no more threads: " + e.code().message(),
                 .found = started + " threads",
                 .expected = std::to_string(threads),
                 .hint = "`threads=" + started + "` can be started; `ulimit -u` and the control group set the limit"});
  }
}

ThreadPool::~ThreadPool() { state_->Stop(); }

size_t ThreadPool::NumThreads() const { return state_->threads.size() + 1; }

void ThreadPool::RunOnAll(FunctionRef<void(size_t)> body) {
  State& s = *state_;
  if (s.threads.empty()) return body(0);
  s.body = &body;
  s.error = nullptr;
  s.remaining.store(s.threads.size(), std::memory_order_relaxed);
  s.StartRound();
  s.Call(0);
  s.WaitForHelpers();
  if (s.error) {
    const std::lock_guard lock(s.mutex);
    std::rethrow_exception(s.error);
  }
}

void ThreadPool::ForRanges(size_t n, size_t grain, FunctionRef<void(size_t, size_t)> body) {
  if (n == 0) return;
  const size_t workers = NumThreads();
  const size_t grains = (n + grain - 1) / grain;
  if (workers == 1 || grains == 1) return body(0, n);
  RunOnAll([&](size_t worker) {
    const size_t begin = std::min(n, grains * worker / workers * grain);
    const size_t end = std::min(n, grains * (worker + 1) / workers * grain);
    if (begin < end) body(begin, end);
  });
}

void ThreadPool::ForSteps(size_t n, size_t grain, FunctionRef<void(size_t, size_t, size_t)> body) {
  if (n == 0) return;
  const size_t workers = NumThreads(), steps = (n + grain - 1) / grain;
  const auto first = [&](size_t worker) { return steps * worker / workers; };
  std::vector<State::Cursor>& cursors = state_->cursors;
  for (size_t w = 0; w < workers; ++w) cursors[w].next.store(first(w), std::memory_order_relaxed);
  const auto drain = [&](size_t worker) {
    for (size_t i = 0; i < workers; ++i) {
      const size_t owner = (worker + i) % workers, end = first(owner + 1);
      for (size_t s = cursors[owner].next.fetch_add(1, std::memory_order_relaxed); s < end;
           s = cursors[owner].next.fetch_add(1, std::memory_order_relaxed)) {
        body(s * grain, std::min(n, (s + 1) * grain), worker);
      }
    }
  };
  if (steps == 1) return drain(0);
  RunOnAll(drain);
}

void ThreadPool::ForEach(size_t n, FunctionRef<void(size_t, size_t)> body) {
  if (n == 0) return;
  std::atomic<size_t> next{0};
  const auto drain = [&](size_t worker) {
    for (size_t i = next.fetch_add(1, std::memory_order_relaxed); i < n;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      body(i, worker);
    }
  };
  if (n == 1) return drain(0);
  RunOnAll(drain);
}

}  // namespace stablelm
