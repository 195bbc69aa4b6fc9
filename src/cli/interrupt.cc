#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "cli/command.h"

namespace stablelm {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<int> guards{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void OnSignal(int signal_number) {
  if (guards.load() == 0) _exit(kExitInterrupted);
  interrupted.store(true);
  // The second one kills.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void InstallInterruptHandler() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    sigaction(signal_number, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;  // nohup and background jobs asked for this
    sigaction(signal_number, &action, nullptr);
  }
}

InterruptGuard::InterruptGuard() { ++guards; }
InterruptGuard::~InterruptGuard() { --guards; }

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }
const std::atomic<bool>& InterruptFlag() { return interrupted; }

}  // namespace stablelm
