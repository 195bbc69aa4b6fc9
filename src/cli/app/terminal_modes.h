// Leaves the terminal as it was found on every way out but kill -9: a normal end, an exception, a fatal signal, Ctrl-Z.
//
// Signal handlers can reach only globals, so the modes to restore are in one.
#pragma once

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

// Restores the terminal if there is a TerminalModes: before another program uses it, and in signal handlers.
void RestoreTerminal();
// Turns the features of the TerminalModes on again.
void ReenterTerminal();

// Whether the process was stopped and continued since the last call: what was on the screen must be drawn again.
bool TakeResumed();

}  // namespace stablelm
