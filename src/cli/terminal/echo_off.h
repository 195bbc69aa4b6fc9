// Lets the keyboard wait while it lives, so that typing does not mix with a streamed reply: no echo, keys are kept as
// they are for the next line read, and Ctrl-C does not discard them.
#pragma once

#include <termios.h>

#include <optional>

namespace stablelm {

class EchoOff {
 public:
  EchoOff();  // does nothing when standard input is not a terminal
  ~EchoOff();
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  std::optional<termios> before_;
};

}  // namespace stablelm
