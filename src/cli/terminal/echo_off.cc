#include "cli/terminal/echo_off.h"

#include <unistd.h>

namespace stablelm {

EchoOff::EchoOff() {
  termios now = {};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  before_ = now;
  // Without ICANON the editing keys wait too, and lines may have any length.
  now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON);
  now.c_lflag |= NOFLSH;
  now.c_iflag &= ~static_cast<tcflag_t>(ICRNL);  // a pasted CR LF is one line end
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

EchoOff::~EchoOff() {
  if (before_) tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
}

}  // namespace stablelm
