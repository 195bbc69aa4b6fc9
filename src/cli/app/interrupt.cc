#include "cli/app/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "cli/app/command.h"

namespace stablelm {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<int> interrupted_by{0};  // the signal that set the flag
std::atomic<int> guards{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void OnSignal(int signal_number) {
  if (guards.load() == 0) _exit(kExitInterrupted);
  interrupted_by.store(signal_number);
  interrupted.store(true);
  // The second signal kills the program.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal_number, &action, nullptr);
}

struct sigaction Handler() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  return action;
}

}  // namespace

void InstallInterruptHandler() {
  const struct sigaction action = Handler();
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    sigaction(signal_number, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;  // nohup and background jobs ignore the signal on purpose
    sigaction(signal_number, &action, nullptr);
  }
}

InterruptGuard::InterruptGuard() { ++guards; }
InterruptGuard::~InterruptGuard() { --guards; }

bool ForgetInterrupt() {
  if (!interrupted.load() || interrupted_by.load() != SIGINT) return false;
  interrupted.store(false);
  const struct sigaction action = Handler();
  sigaction(SIGINT, &action, nullptr);
  return true;
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }
const std::atomic<bool>& InterruptFlag() { return interrupted; }

void ThrowIfInterrupted() {
  if (Interrupted()) throw InterruptedExit();
}

}  // namespace stablelm
