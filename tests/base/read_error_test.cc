// The next steps of files that cannot be read.
#include "base/read_error.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "error_info.h"

namespace stablelm {
namespace {

TEST(ReadError, EveryReasonHasANextStep) {
  for (const int error : {ENOENT, ENOTDIR, EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EIO, ESTALE, 9999}) {
    EXPECT_NE(HintToRead(error), "") << error;
  }
  EXPECT_EQ(HintToRead(ENOENT), HintToRead(ENOTDIR));
  EXPECT_NE(HintToRead(ENOENT), HintToRead(EACCES));
  const ErrorInfo info = InfoOf([] { FailToRead("a.txt", "cannot open", EACCES); });
  EXPECT_THAT(info, Names("a.txt"));
  EXPECT_EQ(info.what, "cannot open: Permission denied");
  EXPECT_EQ(info.hint, HintToRead(EACCES));
}

}  // namespace
}  // namespace stablelm
