// Ctrl-C. A command that has partial results to print or files to clean up holds an InterruptGuard and polls
// Interrupted(): the first SIGINT, SIGTERM or SIGHUP then only sets a flag, the second kills the program. Without a
// guard the program ends at once with exit code 130.
//
// A signal handler can reach only globals, so the flag is the program's one global variable. Whatever signal ends the
// program but SIGKILL, its unfinished files are removed (base/temporary_paths.h); a mapped file that is cut off while
// it is read ends it with an error; a file size limit is an error of the write.
#pragma once

#include <atomic>

namespace stablelm {

void InstallSignalHandlers();  // called once, by main

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// A line for standard error when a signal ends the program while nobody holds an InterruptGuard: how to continue.
// One at a time. A string literal: a handler on another thread may still write it when this object is gone.
class InterruptNote {
 public:
  explicit InterruptNote(const char* literal);
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;
};

// Any thread. The flag stays set until ForgetInterrupt.
bool Interrupted();
const std::atomic<bool>& InterruptFlag();  // the same flag, for functions of lower floors that poll one

// Clears the flag after a SIGINT, so that the next SIGINT counts as the first: a chat continues after Ctrl-C has
// stopped a reply. Returns false and changes nothing when another signal set the flag or it is not set: the program
// must end.
bool ForgetInterrupt();

// Thrown by an interrupted command that has nothing more to print: the program ends quietly with exit code 130.
struct InterruptedExit {};
// Throws InterruptedExit when the flag is set. A callback for long work of lower floors.
void ThrowIfInterrupted();

}  // namespace stablelm
