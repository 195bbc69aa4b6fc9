// EchoOff hides typing while it lives, on a pseudo-terminal of the test.
#include "cli/terminal/echo_off.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace stablelm {
namespace {

bool Echoes() {
  termios now = {};
  EXPECT_EQ(tcgetattr(STDIN_FILENO, &now), 0);
  return (now.c_lflag & ECHO) != 0;
}

TEST(EchoOff, HidesAndShowsAgain) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(master, 0);
  ASSERT_EQ(grantpt(master), 0);
  ASSERT_EQ(unlockpt(master), 0);
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  const int before = dup(STDIN_FILENO);
  ASSERT_EQ(dup2(terminal, STDIN_FILENO), STDIN_FILENO);
  EXPECT_TRUE(Echoes());
  {
    const EchoOff off;
    EXPECT_FALSE(Echoes());
    ASSERT_EQ(write(master, "next\n", 5), 5);
  }
  EXPECT_TRUE(Echoes());
  char line[16] = {};
  EXPECT_EQ(read(STDIN_FILENO, line, sizeof line), 5);  // typed input is not lost
  EXPECT_STREQ(line, "next\n");
  dup2(before, STDIN_FILENO);
  for (const int fd : {before, terminal, master}) close(fd);
}

TEST(EchoOff, LeavesWhatIsNoTerminalAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int before = dup(STDIN_FILENO);
  dup2(ends[0], STDIN_FILENO);
  { const EchoOff off; }
  dup2(before, STDIN_FILENO);
  for (const int fd : {before, ends[0], ends[1]}) close(fd);
}

}  // namespace
}  // namespace stablelm
