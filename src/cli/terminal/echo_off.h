// What is typed while a reply comes must not mix with it: while one of these lives, the terminal of standard input
// shows nothing of it. It is not lost: the next line that is read begins with it.
#pragma once

#include <termios.h>

#include <optional>

namespace stablelm {

class EchoOff {
 public:
  EchoOff();  // does nothing where standard input is no terminal
  ~EchoOff();
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  std::optional<termios> before_;
};

}  // namespace stablelm
