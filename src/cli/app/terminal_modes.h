// Leaves the terminal as it was found on every way out but kill -9: a normal end, an exception, a fatal signal, Ctrl-Z.
//
// Signal handlers can reach only globals, so the modes to restore are in one.
#pragma once

#include <termios.h>

#include <optional>

namespace stablelm {

// At most one at a time. Remembers the modes of the terminal at standard input. `fd` is the terminal to write to;
// `enter` and `leave` are sequences that turn features on and off again and must be string literals. Ctrl-Z restores
// and `fg` sets them again, whatever modes were set meanwhile.
class TerminalModes {
 public:
  TerminalModes(int fd, const char* enter, const char* leave);
  ~TerminalModes();
  TerminalModes(const TerminalModes&) = delete;
  TerminalModes& operator=(const TerminalModes&) = delete;
};

// For the handlers of fatal signals (interrupt.h): restores the terminal if there is a TerminalModes.
void RestoreTerminal();

// While it lives, another program such as an editor has the terminal, in the modes in which it was found.
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
