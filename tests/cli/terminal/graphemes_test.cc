// Graphemes, and the cells that stand for them in the line editor.
#include "cli/terminal/graphemes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <clocale>

namespace stablelm {
namespace {

class Graphemes : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(setlocale(LC_CTYPE, "C.UTF-8")); }
};

const std::string kAccented = "e\u0301", kFlag = "\U0001F1E9\U0001F1EA",
                  kFamily = "\U0001F468\u200D\U0001F469\u200D\U0001F467", kWave = "\U0001F44B\U0001F3FD";

TEST_F(Graphemes, AreWhatAReaderSees) {
  for (const std::string& one : {kAccented, kFlag, kFamily, kWave}) {
    EXPECT_EQ(NextGrapheme(one + "x").bytes, one.size()) << one;
    EXPECT_EQ(NextGrapheme(one + one).bytes, one.size()) << one;
  }
  EXPECT_EQ(NextGrapheme(kAccented).columns, 1u);
  for (const std::string& one : {kFlag, kFamily, kWave}) EXPECT_EQ(NextGrapheme(one).columns, 2u) << one;
  EXPECT_EQ(NextGrapheme("\r\n").bytes, 1u);
  EXPECT_EQ(NextGrapheme("a\n").bytes, 1u);
  EXPECT_EQ(NextGrapheme("").bytes, 0u);
}

TEST_F(Graphemes, OneCellForEach) {
  GraphemeCells cells;
  const std::string text = "a" + kAccented + kFlag + kFamily + "\u4f60\u0301\n\tz";
  const std::wstring encoded = cells.Encode(text);
  EXPECT_EQ(encoded.size(), 8u);
  EXPECT_EQ(cells.Decode(encoded), text);
  EXPECT_EQ(cells.Encode(kAccented), encoded.substr(1, 1));  // the same each time
  for (const wchar_t c : encoded.substr(1, 4)) EXPECT_GT(wcwidth(c), 0);
  // Text with the private code points comes back too.
  const std::string taken = "\U00100000\U0002F800\u0301";
  EXPECT_EQ(cells.Decode(cells.Encode(taken)), taken);
}

TEST_F(Graphemes, JoinsWhatContinues) {
  GraphemeCells cells;
  EXPECT_TRUE(cells.Joins(L'e', 0x301));
  EXPECT_FALSE(cells.Joins(L'e', 'f'));
  EXPECT_FALSE(cells.Joins(L'e', '\n'));
  EXPECT_TRUE(cells.Joins(cells.Encode(kAccented)[0], 0x302));
  EXPECT_FALSE(cells.Joins(cells.Encode(kFlag)[0], 0x1F1E9));  // the next flag
}

TEST_F(Graphemes, TheStreamShowsThem) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  GraphemeCells cells;
  FILE* stream = cells.OpenStream(ends[1]);
  for (const wchar_t c : cells.Encode("a" + kFamily + kAccented + "\u0301")) {
    std::string bytes(8, '\0');
    bytes.resize(static_cast<size_t>(wctomb(bytes.data(), c)));
    for (const char byte : bytes) {  // in pieces of any size
      fputc(byte, stream);
      fflush(stream);
    }
  }
  fclose(stream);
  close(ends[1]);
  char read_bytes[64] = {};
  EXPECT_GT(read(ends[0], read_bytes, sizeof read_bytes - 1), 0);
  EXPECT_EQ(read_bytes, "a" + kFamily + kAccented + "\u0301");
  close(ends[0]);
}

}  // namespace
}  // namespace stablelm
