#include "cli/terminal/echo_off.h"

#include <unistd.h>

namespace stablelm {

EchoOff::EchoOff() {
  termios now = {};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  before_ = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
  tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

EchoOff::~EchoOff() {
  if (before_) tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
}

}  // namespace stablelm
