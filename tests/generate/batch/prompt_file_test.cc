// A file of prompts, line by line: whatever its ends of lines, and however long.
#include "generate/batch/prompt_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

struct Line {
  uint64_t number;
  std::string text;
  bool operator==(const Line&) const = default;
};

class PromptFileTest : public testing::Test {
 protected:
  fs::path Write(const std::string& bytes) const {
    const fs::path path = temp_.path() / "prompts.jsonl";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::vector<Line> All(PromptFile& file) {
    std::vector<Line> lines;
    while (const auto line = file.Next()) {
      lines.push_back({line->number, line->too_long ? "too long" : std::string(line->text)});
    }
    return lines;
  }
  std::vector<Line> Lines(const std::string& bytes) const {
    PromptFile file(Write(bytes));
    const std::vector<Line> lines = All(file);
    file.Rewind();
    EXPECT_EQ(All(file), lines);
    return lines;
  }
  const TempFolder temp_;
};

TEST_F(PromptFileTest, LinesThatAreNotBlank) {
  EXPECT_EQ(Lines(""), (std::vector<Line>{}));
  EXPECT_EQ(Lines("\n \t\r\n\n"), (std::vector<Line>{}));
  EXPECT_EQ(Lines("a\nb\n"), (std::vector<Line>{{1, "a"}, {2, "b"}}));
  EXPECT_EQ(Lines("a\n\n  \nb"), (std::vector<Line>{{1, "a"}, {4, "b"}}));  // no line end at the end
  EXPECT_EQ(Lines("a\r\nb\r\n"), (std::vector<Line>{{1, "a\r"}, {2, "b\r"}}));
  EXPECT_EQ(Lines(std::string("a\0b\nc", 5)), (std::vector<Line>{{1, std::string("a\0b", 3)}, {2, "c"}}));
}

// Around the size of the pieces in which it is read (256 KiB).
TEST_F(PromptFileTest, LinesOverManyPieces) {
  for (const size_t length : {size_t{262142}, size_t{262143}, size_t{262144}, size_t{262145}, size_t{900000}}) {
    const std::string x(length, 'x');
    EXPECT_EQ(Lines(x + "\n" + x + "\n\nend"), (std::vector<Line>{{1, x}, {2, x}, {4, "end"}})) << length;
  }
}

TEST_F(PromptFileTest, ALineThatIsTooLongIsSaidToBeAndTheRestIsThere) {
  const std::string x(PromptFile::kMostLineBytes + 1, 'x');
  EXPECT_EQ(Lines("a\n" + x + "\nb\n"), (std::vector<Line>{{1, "a"}, {2, "too long"}, {3, "b"}}));
  EXPECT_EQ(Lines("a\n" + x + x.substr(0, 1000000)), (std::vector<Line>{{1, "a"}, {2, "too long"}}));
  EXPECT_EQ(Lines(x.substr(1) + "\nb"), (std::vector<Line>{{1, x.substr(1)}, {2, "b"}}));  // just not
}

TEST_F(PromptFileTest, RefusesWhatIsNoFile) {
  EXPECT_THROW(PromptFile(temp_.path() / "nowhere"), Error);
  EXPECT_THROW(PromptFile{temp_.path()}, Error);
  EXPECT_THROW(PromptFile("/dev/null"), Error);
}

}  // namespace
}  // namespace stablelm
