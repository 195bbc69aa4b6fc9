// Leaves the terminal as it was found on every way out but kill -9: a normal end, an exception, a fatal signal, Ctrl-Z.
//
// Signal handlers can reach only globals, so the modes to restore are in one.
#pragma once

#include <termios.h>

#include <optional>

namespace stablelm {

// At most one at a time. Remembers the modes of the terminal at standard input. `fd` is the terminal to write to;
// `enter` and `leave` are sequences that turn features on and off again and must be string literals. Ctrl-Z restores
// and `fg` sets them again, whatever modes were set meanwhile; what was typed before it is kept for TakeTyped.
class TerminalModes {
 public:
  TerminalModes(int fd, const char* enter, const char* leave);
  ~TerminalModes();
  TerminalModes(const TerminalModes&) = delete;
  TerminalModes& operator=(const TerminalModes&) = delete;
};

// For the handlers of fatal signals (interrupt.h): restores the terminal if there is a TerminalModes, and discards what
// was typed.
void RestoreTerminal();

// Discards what was typed for this program and not read, so that the shell does not run it. For an end by a signal.
void DiscardTyped();

// The next byte that was typed before Ctrl-Z and comes before what the terminal holds now. One thread.
std::optional<char> TakeTyped();

// While it lives, the terminal is in the modes in which it was found: for an editor, or to read input up to Ctrl-D.
class TerminalLoan {
 public:
  TerminalLoan();
  ~TerminalLoan();
  TerminalLoan(const TerminalLoan&) = delete;
  TerminalLoan& operator=(const TerminalLoan&) = delete;

 private:
  std::optional<termios> before_;
};

// Whether the process was stopped and continued since the last call: what was on the screen must be drawn again.
bool TakeResumed();

}  // namespace stablelm
