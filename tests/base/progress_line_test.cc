#include "base/progress_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace stablelm {
namespace {

size_t Columns(const std::string& line) {
  size_t columns = 0;
  for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return columns;
}

TEST(ProgressLine, FitsTheTerminal) {
  const std::string label = "Loading weights", text = " 50 %  140 MB of 281 MB, 129 MB/s, 2 s left";
  for (size_t columns = 0; columns <= 200; ++columns) {
    const std::string line = ProgressLine(label, 0.5, text, columns);
    EXPECT_LT(Columns(line), std::max<size_t>(columns, 1)) << columns;
    if (columns > label.size() + text.size() + 1) {
      EXPECT_TRUE(line.starts_with(label) && line.ends_with(text)) << line;
    }
  }
}

TEST(ProgressLine, TheBarShowsTheShare) {
  EXPECT_EQ(ProgressLine("a", 0, "b", 200), "a ──────────────────────── b");
  EXPECT_EQ(ProgressLine("a", 0.5, "b", 200), "a ━━━━━━━━━━━━──────────── b");
  EXPECT_EQ(ProgressLine("a", 1, "b", 200), "a ━━━━━━━━━━━━━━━━━━━━━━━━ b");
  EXPECT_EQ(ProgressLine("a", 0.5, "b", 9), "a ━━── b");  // as narrow as it gets
  EXPECT_EQ(ProgressLine("a", 0.5, "b", 8), "a b");
  EXPECT_EQ(ProgressLine("a", 0.5, "bcd", 4), "a b");
}

}  // namespace
}  // namespace stablelm
