// Ctrl-C. Work that can end early with something to show, or that has files to clean up, holds an InterruptGuard and
// polls Interrupted(): the first SIGINT, SIGTERM or SIGHUP then only sets the flag, a second one kills. Without a
// guard the program ends at once with exit code 130.
//
// A signal handler can reach nothing but globals, so the flag is the one global variable of the program.
#pragma once

#include <atomic>

namespace stablelm {

void InstallInterruptHandler();  // called once, by main

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Any thread. The flag stays set until ForgetInterrupt.
bool Interrupted();
const std::atomic<bool>& InterruptFlag();  // the same, for callers below the command line that take a flag to poll

// For work that goes on after Ctrl-C, such as a chat whose reply was stopped: takes a SIGINT back, so that the next one
// is again a first one. Returns false, with nothing changed, when it was another signal (or none) that set the flag:
// the program is to end.
bool ForgetInterrupt();

// Thrown by a command that was interrupted and has nothing more to print: the program ends quietly with exit code 130.
struct InterruptedExit {};
// For work below the command line that calls back now and then.
void ThrowIfInterrupted();

}  // namespace stablelm
