#include "cli/app/terminal_modes.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace stablelm {
namespace {

struct Saved {
  int fd = -1;
  bool is_terminal = false;  // standard input
  termios before = {};
  const char* enter = "";
  const char* leave = "";
};
Saved saved;
std::atomic<bool> active{false};
std::atomic<bool> resumed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void Write(const char* bytes) {
  const size_t size = std::strlen(bytes);
  if (size > 0) static_cast<void>(write(saved.fd, bytes, size) + 1);
}

void Handle(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal_number, &action, nullptr);
}

// A shell without job control ignores SIGTSTP on purpose.
void HandleUnlessIgnored(int signal_number, void (*handler)(int)) {
  struct sigaction old {};
  sigaction(signal_number, nullptr, &old);
  if (old.sa_handler != SIG_IGN) Handle(signal_number, handler);
}

// Delivers the signal whose handler is running, with its default action.
void RaiseByDefault(int signal_number) {
  Handle(signal_number, SIG_DFL);
  raise(signal_number);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

void OnStop(int signal_number) {
  const int error = errno;
  termios now = {};
  const bool known = saved.is_terminal && tcgetattr(STDIN_FILENO, &now) == 0;
  RestoreTerminal();
  RaiseByDefault(signal_number);
  // SIGCONT arrived.
  Handle(signal_number, OnStop);
  if (known) tcsetattr(STDIN_FILENO, TCSANOW, &now);
  Write(saved.enter);
  resumed.store(true);
  errno = error;
}

}  // namespace

TerminalModes::TerminalModes(int fd, const char* enter, const char* leave) {
  STABLELM_CHECK(!active.load());
  saved = {.fd = fd, .enter = enter, .leave = leave};
  saved.is_terminal = tcgetattr(STDIN_FILENO, &saved.before) == 0;
  active.store(true);
  HandleUnlessIgnored(SIGTSTP, OnStop);
  Write(saved.enter);
}

TerminalModes::~TerminalModes() {
  RestoreTerminal();
  active.store(false);
  HandleUnlessIgnored(SIGTSTP, SIG_DFL);
}

void RestoreTerminal() {
  if (!active.load()) return;
  if (saved.is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &saved.before);
  Write(saved.leave);
}

TerminalLoan::TerminalLoan() {
  termios now = {};
  if (tcgetattr(STDIN_FILENO, &now) == 0) before_ = now;
  RestoreTerminal();
}

TerminalLoan::~TerminalLoan() {
  if (!active.load()) return;
  if (before_) tcsetattr(STDIN_FILENO, TCSADRAIN, &*before_);
  Write(saved.enter);
}

bool TakeResumed() { return resumed.exchange(false); }

}  // namespace stablelm
