#include "base/folder_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

// Whether another process can take the folder.
bool OtherProcessTakes(const std::filesystem::path& folder) {
  const pid_t child = fork();
  if (child == 0) _exit(FolderLock::Take(folder) ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(FolderLock, OneHolderAtATime) {
  const TempFolder temp;
  {
    std::optional<FolderLock> lock = FolderLock::Take(temp.path());
    ASSERT_TRUE(lock);
    const FolderLock moved = std::move(*lock);
    lock.reset();
    EXPECT_FALSE(FolderLock::Take(temp.path()));
    EXPECT_FALSE(OtherProcessTakes(temp.path()));
  }
  EXPECT_TRUE(OtherProcessTakes(temp.path()));
  EXPECT_TRUE(FolderLock::Take(temp.path()));
  EXPECT_THAT(InfoOf([&] { FolderLock::Take(temp.path() / "none"); }), Names((temp.path() / "none").string()));
}

}  // namespace
}  // namespace stablelm
