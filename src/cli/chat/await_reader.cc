#include "cli/chat/await_reader.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace stablelm {

void AwaitReader() {
  constexpr int kSteps = 40, kStepMs = 5, kWriteMs = 20;
  for (int i = 0; i < kSteps; ++i) {
    int unread = 0;
    if (ioctl(STDOUT_FILENO, FIONREAD, &unread) != 0) return;
    if (unread == 0) {
      poll(nullptr, 0, kWriteMs);  // it has read, but may not have written
      return;
    }
    poll(nullptr, 0, kStepMs);
  }
}

}  // namespace stablelm
