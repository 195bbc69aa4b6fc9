#include "cli/app/interrupt.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <string_view>

#include "base/mapped_file.h"
#include "base/temporary_paths.h"
#include "cli/app/command.h"
#include "cli/app/terminal_modes.h"

namespace stablelm {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<int> interrupted_by{0};  // the signal that set the flag
std::atomic<int> guards{0};
std::atomic<const char*> interrupt_note{nullptr};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);

void WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Ends the program by a signal that its default action would end it by, with no unfinished file left.
void OnFatalSignal(int signal_number) {
  RestoreTerminal();
  RemoveTemporaryPaths();
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

void OnSignal(int signal_number) {
  if (guards.load() == 0) {
    RestoreTerminal();
    RemoveTemporaryPaths();
    // Below a progress bar and "^C"; else the shell's prompt would stand behind them.
    if (termios modes; tcgetattr(STDERR_FILENO, &modes) == 0) WriteAll("\n");
    if (const char* note = interrupt_note.load()) {
      WriteAll(note);
      WriteAll("\n");
    }
    _exit(kExitInterrupted);
  }
  if (interrupted.load()) {  // the second one kills the program
    OnFatalSignal(signal_number);
    return;
  }
  interrupted_by.store(signal_number);
  interrupted.store(true);
}

// A read behind the end of a mapped file: somebody cut it off, or its disk or network is gone.
void OnBusError(int signal_number, siginfo_t* info, void*) {
  if (const char* path = MappedFile::PathAt(info->si_addr)) {
    // Several threads may meet the cut at once: the first one speaks for all.
    static std::atomic_flag taken;
    while (taken.test_and_set()) pause();
    RestoreTerminal();
    RemoveTemporaryPaths();
    WriteAll("error: ");
    WriteAll(path);
    WriteAll(
        ": the file was cut off or became unreadable while it was in use\n"
        "hint:  is it still being copied or downloaded? wait until it is complete, then run again\n");
    _exit(kExitFailed);
  }
  OnFatalSignal(signal_number);
}

struct sigaction Handler() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  return action;
}

}  // namespace

void InstallSignalHandlers() {
  const struct sigaction action = Handler();
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    sigaction(signal_number, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;  // nohup and background jobs ignore the signal on purpose
    sigaction(signal_number, &action, nullptr);
  }
  // What else ends a program. Crashes stay with a sanitizer that has taken them.
  for (const int signal_number : {SIGQUIT, SIGXCPU, SIGALRM, SIGUSR1, SIGUSR2, SIGABRT, SIGSEGV, SIGILL, SIGFPE}) {
    struct sigaction old {};
    sigaction(signal_number, nullptr, &old);
    if ((old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == SIG_DFL) signal(signal_number, OnFatalSignal);
  }
  struct sigaction bus {};
  bus.sa_sigaction = OnBusError;
  bus.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &bus, nullptr);
  signal(SIGXFSZ, SIG_IGN);  // writing then fails with EFBIG, which says more
}

InterruptGuard::InterruptGuard() { ++guards; }
InterruptGuard::~InterruptGuard() { --guards; }

InterruptNote::InterruptNote(const char* literal) { interrupt_note.store(literal); }
InterruptNote::~InterruptNote() { interrupt_note.store(nullptr); }

bool ForgetInterrupt() {
  if (!interrupted.load() || interrupted_by.load() != SIGINT) return false;
  interrupted.store(false);
  return true;
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }
const std::atomic<bool>& InterruptFlag() { return interrupted; }

void ThrowIfInterrupted() {
  if (Interrupted()) throw InterruptedExit();
}

}  // namespace stablelm
