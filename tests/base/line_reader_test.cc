// Lines of a file with any line ends and of any length.
#include "base/line_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/error.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

struct Line {
  uint64_t number;
  std::string text;
  bool operator==(const Line&) const = default;
};

class LineReaderTest : public testing::Test {
 protected:
  fs::path Write(const std::string& bytes) const {
    const fs::path path = temp_.path() / "lines.txt";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::vector<Line> All(LineReader& file) {
    std::vector<Line> lines;
    while (const auto line = file.Next()) {
      lines.push_back({line->number, line->too_long ? "too long" : std::string(line->text)});
    }
    return lines;
  }
  std::vector<Line> Lines(const std::string& bytes) const {
    LineReader file(Write(bytes));
    const std::vector<Line> lines = All(file);
    file.Rewind();
    EXPECT_EQ(All(file), lines);
    return lines;
  }
  const TempFolder temp_;
};

TEST_F(LineReaderTest, LinesThatAreNotBlank) {
  EXPECT_EQ(Lines(""), (std::vector<Line>{}));
  EXPECT_EQ(Lines("\n \t\r\n\n"), (std::vector<Line>{}));
  EXPECT_EQ(Lines("a\nb\n"), (std::vector<Line>{{1, "a"}, {2, "b"}}));
  EXPECT_EQ(Lines("a\n\n  \nb"), (std::vector<Line>{{1, "a"}, {4, "b"}}));  // no newline at the end
  EXPECT_EQ(Lines("a\r\nb\r\n"), (std::vector<Line>{{1, "a\r"}, {2, "b\r"}}));
  EXPECT_EQ(Lines(std::string("a\0b\nc", 5)), (std::vector<Line>{{1, std::string("a\0b", 3)}, {2, "c"}}));
}

// Line lengths around the read buffer size (256 KiB).
TEST_F(LineReaderTest, LinesOverManyPieces) {
  for (const size_t length : {size_t{262142}, size_t{262143}, size_t{262144}, size_t{262145}, size_t{900000}}) {
    const std::string x(length, 'x');
    EXPECT_EQ(Lines(x + "\n" + x + "\n\nend"), (std::vector<Line>{{1, x}, {2, x}, {4, "end"}})) << length;
  }
}

TEST_F(LineReaderTest, ALineThatIsTooLongIsSaidToBeAndTheRestIsThere) {
  const std::string x(LineReader::kMostLineBytes + 1, 'x');
  EXPECT_EQ(Lines("a\n" + x + "\nb\n"), (std::vector<Line>{{1, "a"}, {2, "too long"}, {3, "b"}}));
  EXPECT_EQ(Lines("a\n" + x + x.substr(0, 1000000)), (std::vector<Line>{{1, "a"}, {2, "too long"}}));
  EXPECT_EQ(Lines(x.substr(1) + "\nb"), (std::vector<Line>{{1, x.substr(1)}, {2, "b"}}));  // exactly at the limit
}

TEST_F(LineReaderTest, RefusesWhatIsNoFile) {
  const fs::path nowhere = temp_.path() / "nowhere", folder = temp_.path();
  EXPECT_THAT(InfoOf([&] { LineReader reader(nowhere); }), Names(nowhere.string()));
  EXPECT_THAT(InfoOf([&] { LineReader(folder).Next(); }), Names(folder.string()));
  for (const fs::path& path : {nowhere, folder, fs::path("/dev/null")}) {
    EXPECT_THAT(InfoOf([&] { RequireRegularFile(path, "a file"); }), Names(path.string()));
  }
  EXPECT_NO_THROW(RequireRegularFile(Write(""), "a file"));
}

// A pipe gives its lines as they arrive and cannot rewind.
TEST_F(LineReaderTest, ReadsAPipeOnce) {
  const fs::path path = temp_.path() / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "a\n\nb" << std::flush << "c\nd"; });
  {
    LineReader reader(path);
    EXPECT_EQ(All(reader), (std::vector<Line>{{1, "a"}, {3, "bc"}, {4, "d"}}));
    EXPECT_THAT(InfoOf([&] { reader.Rewind(); }), Names(path.string()));
  }
  writer.join();
}

TEST_F(LineReaderTest, ADashIsStandardInput) {
  const int old = dup(STDIN_FILENO);
  const int file = open(Write("a\nb\n").c_str(), O_RDONLY);
  ASSERT_EQ(dup2(file, STDIN_FILENO), STDIN_FILENO);
  {
    LineReader reader("-");
    EXPECT_EQ(All(reader), (std::vector<Line>{{1, "a"}, {2, "b"}}));
  }
  EXPECT_NE(fcntl(STDIN_FILENO, F_GETFD), -1);  // still open
  dup2(old, STDIN_FILENO);
  close(file);
  close(old);
}

}  // namespace
}  // namespace stablelm
