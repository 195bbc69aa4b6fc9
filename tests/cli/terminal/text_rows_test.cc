// Word wrap, redrawn rows, Markdown.
#include "cli/terminal/text_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>

#include "base/utf8.h"
#include "cli/terminal/markdown_rows.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using Rows = std::vector<std::string>;

class TextRows : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(setlocale(LC_CTYPE, "C.UTF-8")); }
};
using Markdown = TextRows;
using Live = TextRows;

Rows Laid(const std::string& text, size_t width) { return LayOutRows({{.text = text, .style = {}}}, width); }
Rows Plain(const std::string& text, size_t width = 40) { return MarkdownRows(text, width, false); }

TEST_F(TextRows, KeepsWordsWhole) {
  EXPECT_THAT(Laid("the quick brown fox", 10), ElementsAre("the quick", "brown fox"));
  EXPECT_THAT(Laid("exactly 10", 10), ElementsAre("exactly 10"));
  EXPECT_THAT(Laid("exactly 10 x", 10), ElementsAre("exactly 10", "x"));
  EXPECT_THAT(Laid("a\n\nb", 10), ElementsAre("a", "", "b"));
  EXPECT_THAT(Laid("abcdefghijklmnop q", 10), ElementsAre("abcdefghij", "klmnop q"));
  EXPECT_THAT(Laid("", 10), ElementsAre(""));
}

TEST_F(TextRows, WideCharactersTakeTwoColumns) {
  EXPECT_THAT(Laid("\u4f60\u597d\u4f60\u597d\u4f60\u597d", 8), ElementsAre("\u4f60\u597d\u4f60\u597d", "\u4f60\u597d"));
  EXPECT_THAT(Laid("abc \U0001F600\U0001F600\U0001F600", 9), ElementsAre("abc \U0001F600\U0001F600", "\U0001F600"));
}

TEST_F(TextRows, EveryRowIsCompleteInItself) {
  const Rows rows = LayOutRows({{.text = "one ", .style = {}}, {.text = "two three", .style = "\033[1m"}}, 9);
  EXPECT_THAT(rows, ElementsAre("one \033[1mtwo\033[0m", "\033[1mthree\033[0m"));
  EXPECT_THAT(LayOutRows({{.text = "one two three", .style = {}}}, 9, "- ", "  "), ElementsAre("- one two", "  three"));
}

// A terminal with endless rows that understands the output of LiveRows.
class Screen {
 public:
  void Write(const std::string& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == '\r') {
        column_ = 0;
      } else if (bytes[i] == '\n') {
        if (++row_ == rows.size()) rows.emplace_back();
      } else if (bytes.compare(i, 3, "\033[K") == 0) {
        rows[row_].resize(column_);
        i += 2;
      } else if (bytes.compare(i, 3, "\033[J") == 0) {
        rows[row_].resize(column_);
        rows.resize(row_ + 1);
        i += 2;
      } else if (bytes.compare(i, 2, "\033[") == 0) {
        const size_t end = bytes.find('A', i);
        row_ -= std::stoul(bytes.substr(i + 2, end - i - 2));
        i = end;
      } else {
        if (rows[row_].size() <= column_) rows[row_].resize(column_ + 1);
        rows[row_][column_++] = bytes[i];
      }
    }
  }
  Rows rows = {""};

 private:
  size_t row_ = 0, column_ = 0;
};

TEST_F(Live, ShowsTheLastRowsGiven) {
  Screen screen;
  LiveRows live;
  for (const Rows& rows : std::vector<Rows>{{"..."},
                                            {"a"},
                                            {"ab"},
                                            {"abc", "d"},
                                            {"abX", "de", "f"},
                                            {"abX", "de", "f"},
                                            {"abX", "d"},
                                            {"abX", "d", "", "g"},
                                            {""},
                                            {"end"}}) {
    screen.Write(live.Update(rows, 10));
    EXPECT_EQ(screen.rows, rows);
  }
  live.Leave();
  screen.Write("\r\n");
  screen.Write(live.Update({"new"}, 10));
  EXPECT_THAT(screen.rows, ElementsAre("end", "new"));
}

// tmux saves a screen that is erased from its first cell to its history, so its rows would appear twice.
TEST_F(Live, WritesOverRowsAndErasesOnlyWhatIsTooMany) {
  LiveRows live;
  live.Update({"one", "two", "three"}, 3);
  EXPECT_EQ(live.Update({"ONE", "two", "three", "four"}, 3), "\033[2A\rONE\033[K\r\ntwo\033[K\r\nthree\033[K\r\nfour");
  EXPECT_EQ(live.Update({"ONE", "two", "3"}, 4), "\033[1A\r3\033[K\033[J");
}

TEST_F(Live, WritesLittleWhenTextGrows) {
  LiveRows live;
  live.Update({"first", "second"}, 10);
  EXPECT_EQ(live.Update({"first", "second row"}, 10), " row");
  EXPECT_EQ(live.Update({"first", "second row"}, 10), "");
  EXPECT_EQ(live.Update({"first", "second row", "x"}, 10), "\r\nx");
}

TEST_F(Live, LeavesRowsThatAreGoneFromTheScreen) {
  Screen screen;
  LiveRows live;
  Rows rows(20, "row");
  screen.Write(live.Update(rows, 5));
  rows[0] = "changed";
  rows[19] = "changed";
  screen.Write(live.Update(rows, 5));
  EXPECT_EQ(screen.rows[0], "row");
  EXPECT_EQ(screen.rows[19], "changed");
  EXPECT_EQ(screen.rows.size(), 20u);
}

TEST_F(Markdown, BlocksBecomeRows) {
  EXPECT_THAT(Plain("# Title\nText that\ngoes on.\n\nSecond."),
              ElementsAre("Title", "", "Text that", "goes on.", "", "Second."));
  EXPECT_THAT(Plain("Some:\n- one\n- two\n  - inner\n- three\n\nAfter."),
              ElementsAre("Some:", "", "- one", "- two", "  - inner", "- three", "", "After."));
  EXPECT_THAT(Plain("3. three\n4. four"), ElementsAre("3. three", "4. four"));
  EXPECT_THAT(Plain("> quoted\n> more"), ElementsAre("| quoted", "| more"));
  EXPECT_THAT(Plain("```c\nint a;\n\n  b();\n```\nx"), ElementsAre("int a;", "", "  b();", "", "x"));
  EXPECT_THAT(Plain("- a long item of a list", 12), ElementsAre("- a long", "  item of a", "  list"));
}

TEST_F(Markdown, StylesAndWhatStaysAsItIs) {
  EXPECT_THAT(MarkdownRows("a **b** *c* `d`", 40, true),
              ElementsAre("a \033[1mb\033[0m \033[3mc\033[0m \033[36md\033[0m"));
  EXPECT_THAT(Plain("a **b** *c* `d`"), ElementsAre("a b c d"));
  EXPECT_THAT(Plain("<b>x</b> &amp; [text](http://x) <script>"),
              ElementsAre("<b>x</b> &amp; text (http://x) <script>"));
  EXPECT_THAT(Plain("2 * 3 * 4, a_b_c, **open"), ElementsAre("2 * 3 * 4, a_b_c, **open"));
  EXPECT_THAT(Plain("    four spaces"), ElementsAre("four spaces"));
  EXPECT_THAT(Plain("| a | b |\n|---|---|\n| 1 | 2 |"), ElementsAre("| a | b |", "|---|---|", "| 1 | 2 |"));
}

// Every prefix of a text, as in a stream: nothing fails, no row is too wide, and few rows are redrawn.
TEST_F(Markdown, EveryBeginningIsShown) {
  const std::string text =
      "# A\n\nSome **bold** and *it* with `code`, \u4f60\u597d \U0001F600.\n\n1. one\n2. two\n   - in\n\n> q\n\n```\nx "
      "= 1\n"
      "```\n---\n[l](u) ![i](s) ~~d~~ end\n\n***\n- \n- x\n\n\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string beginning = utf8::ReplaceInvalid(text.substr(0, n));
    for (const size_t width : {8u, 20u, 80u}) {
      for (const std::string& row : MarkdownRows(beginning, width, false)) {
        size_t code_points = 0;
        for (const char c : row) code_points += (c & 0xC0) != 0x80 ? 1 : 0;
        EXPECT_LE(code_points, width) << row;
      }
    }
  }
}

// Unclosed, meaningless and deeply nested marks: bounded and safe.
TEST_F(Markdown, HostileTexts) {
  for (const char* piece : {"> ", "- ", "* ", "[", "![", "**", "`", "```\n", "1. ", "#", "_", "~~", "| ", "\t", "<"}) {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += piece;
    // (A row of ` or ~ begins a code block, which is empty here.)
    EXPECT_FALSE(MarkdownRows(text + "x\ny", 40, true).empty()) << piece;
  }
}

}  // namespace
}  // namespace stablelm
