#include "cli/app/terminal_modes.h"

#include <poll.h>
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
std::atomic<bool> lent{false};  // to another program
std::atomic<bool> resumed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// What OnStop has read from the keyboard and TakeTyped has not yet given out, in a ring.
constexpr size_t kTypedBytes = size_t{1} << 16;
char typed[kTypedBytes];
std::atomic<size_t> typed_written{0}, typed_taken{0};
static_assert(std::atomic<size_t>::is_always_lock_free);

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

// Whether what waits in the terminal was typed for this program: in modes for its editor, and it may read.
bool OwnsTyped(const termios& now) {
  return !lent.load() && (now.c_lflag & ICANON) == 0 && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

// Else the shell would read it next, and run it. `now`: the terminal's modes.
void KeepTyped(const termios& now) {
  // The signal may come before the keys typed before it can be read; setting modes waits until they can.
  tcsetattr(STDIN_FILENO, TCSANOW, &now);
  for (;;) {
    pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    const size_t written = typed_written.load();
    const size_t at = written % kTypedBytes, used = written - typed_taken.load();
    const size_t room = at + (kTypedBytes - used) > kTypedBytes ? kTypedBytes - at : kTypedBytes - used;
    if (room == 0) {
      tcflush(STDIN_FILENO, TCIFLUSH);
      return;
    }
    if (poll(&waiting, 1, 0) <= 0 || (waiting.revents & POLLIN) == 0) return;
    const ssize_t n = read(STDIN_FILENO, typed + at, room);
    if (n <= 0) return;
    typed_written.store(written + static_cast<size_t>(n));
  }
}

void Restore() {
  if (!active.load()) return;
  if (saved.is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &saved.before);
  Write(saved.leave);
}

void OnStop(int signal_number) {
  const int error = errno;
  termios now = {};
  const bool known = saved.is_terminal && tcgetattr(STDIN_FILENO, &now) == 0;
  if (known && OwnsTyped(now)) KeepTyped(now);
  Restore();
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
  Restore();
  active.store(false);
  HandleUnlessIgnored(SIGTSTP, SIG_DFL);
}

void RestoreTerminal() {
  DiscardTyped();
  Restore();
}

void DiscardTyped() {
  termios now = {};
  if (active.load() && saved.is_terminal && tcgetattr(STDIN_FILENO, &now) == 0 && OwnsTyped(now)) {
    tcflush(STDIN_FILENO, TCIFLUSH);
  }
}

std::optional<char> TakeTyped() {
  const size_t taken = typed_taken.load();
  if (taken == typed_written.load()) return std::nullopt;
  const char byte = typed[taken % kTypedBytes];
  typed_taken.store(taken + 1);
  return byte;
}

TerminalLoan::TerminalLoan() {
  termios now = {};
  if (tcgetattr(STDIN_FILENO, &now) == 0) before_ = now;
  lent.store(true);
  Restore();
}

TerminalLoan::~TerminalLoan() {
  lent.store(false);
  if (!active.load()) return;
  if (before_) tcsetattr(STDIN_FILENO, TCSADRAIN, &*before_);
  Write(saved.enter);
}

bool TakeResumed() { return resumed.exchange(false); }

}  // namespace stablelm
