// Turns terminal echo off while it lives, so that typing does not mix with a streamed reply. Typed input is not lost:
// the next line read begins with it.
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
