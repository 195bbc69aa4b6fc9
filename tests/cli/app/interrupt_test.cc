// How signals end the program: with nothing unfinished left, and with a reason where there is one.
#include "cli/app/interrupt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

class SignalTest : public testing::Test {
 protected:
  SignalTest() : path_(temp_.path() / "out") { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  bool NothingLeft() const { return std::filesystem::is_empty(temp_.path()); }

  const TempFolder temp_;
  const std::filesystem::path path_;
};

TEST_F(SignalTest, AFileThatIsCutOffWhileItIsReadIsNamed) {
  std::ofstream(path_) << std::string(100000, 'x');
  const auto read_cut_off = [&] {
    InstallSignalHandlers();
    const MappedFile file(path_);
    std::filesystem::resize_file(path_, 10);
    _exit(file.text()[50000] == 'x' ? 3 : 4);
  };
  EXPECT_EXIT(read_cut_off(), testing::ExitedWithCode(1), "error: .*/out: the file was cut off");
}

TEST_F(SignalTest, NoSignalLeavesATemporaryFile) {
  for (const int number : {SIGQUIT, SIGXCPU, SIGUSR1, SIGALRM}) {
    const auto end = [&] {
      InstallSignalHandlers();
      const AtomicFile file(path_);
      raise(number);
    };
    EXPECT_EXIT(end(), testing::KilledBySignal(number), "");
    EXPECT_TRUE(NothingLeft()) << number;
  }
  const auto interrupt = [&] {
    InstallSignalHandlers();
    const AtomicFile file(path_);
    raise(SIGTERM);
  };
  EXPECT_EXIT(interrupt(), testing::ExitedWithCode(130), "");
  EXPECT_TRUE(NothingLeft());
  const auto twice = [&] {
    InstallSignalHandlers();
    const InterruptGuard guard;
    const AtomicFile file(path_);
    raise(SIGINT);
    raise(SIGINT);
  };
  EXPECT_EXIT(twice(), testing::KilledBySignal(SIGINT), "");
  EXPECT_TRUE(NothingLeft());
}

TEST_F(SignalTest, AFileSizeLimitIsAnError) {
  const auto write = [&] {
    InstallSignalHandlers();
    const struct rlimit limit = {8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      AtomicFile file(path_);
      file.Write(std::string(10000, 'x'));
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(1);
    }
    _exit(0);
  };
  EXPECT_EXIT(write(), testing::ExitedWithCode(1), "File too large.*ulimit -f");
  EXPECT_TRUE(NothingLeft());
}

}  // namespace
}  // namespace stablelm
