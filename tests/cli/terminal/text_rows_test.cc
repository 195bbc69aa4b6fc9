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
  EXPECT_THAT(Laid("\tif\n  \tx\n12345678\ty", 20), ElementsAre("        if", "        x", "12345678        y"));
  EXPECT_THAT(LayOutRows({{.text = "a\tb", .style = {}}}, 20, "> "), ElementsAre("> a       b"));
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
    screen.Write(live.Update(rows, {.rows = 10}));
    EXPECT_EQ(screen.rows, rows);
  }
  live.Leave();
  screen.Write("\r\n");
  screen.Write(live.Update({"new"}, {.rows = 10}));
  EXPECT_THAT(screen.rows, ElementsAre("end", "new"));
}

// tmux saves a screen that is erased from its first cell to its history, so its rows would appear twice.
TEST_F(Live, WritesOverRowsAndErasesOnlyWhatIsTooMany) {
  LiveRows live;
  live.Update({"one", "two", "three"}, {.rows = 3});
  EXPECT_EQ(live.Update({"ONE", "two", "three", "four"}, {.rows = 3}),
            "\033[2A\rONE\033[K\r\ntwo\033[K\r\nthree\033[K\r\nfour");
  EXPECT_EQ(live.Update({"ONE", "two", "3"}, {.rows = 4}), "\033[1A\r3\033[K\033[J");
}

// The cursor passes over what a tab leaves out.
TEST_F(Live, ErasesWhatIsUnderATab) {
  LiveRows live;
  live.Update({"long text"}, {.rows = 5});
  EXPECT_EQ(live.Update({"\ta"}, {.rows = 5}), "\r\033[K\ta\033[K");
  EXPECT_EQ(live.Update({"\ta", "\tb"}, {.rows = 5}), "\r\n\tb");
}

TEST_F(Live, WritesLittleWhenTextGrows) {
  LiveRows live;
  live.Update({"first", "second"}, {.rows = 10});
  EXPECT_EQ(live.Update({"first", "second row"}, {.rows = 10}), " row");
  EXPECT_EQ(live.Update({"first", "second row"}, {.rows = 10}), "");
  EXPECT_EQ(live.Update({"first", "second row", "x"}, {.rows = 10}), "\r\nx");
}

TEST_F(Live, LeavesRowsThatAreGoneFromTheScreen) {
  Screen screen;
  LiveRows live;
  Rows rows(20, "row");
  screen.Write(live.Update(rows, {.rows = 5}));
  rows[0] = "changed";
  rows[19] = "changed";
  screen.Write(live.Update(rows, {.rows = 5}));
  EXPECT_EQ(screen.rows[0], "row");
  EXPECT_EQ(screen.rows[19], "changed");
  EXPECT_EQ(screen.rows.size(), 20u);
}

Rows Drawn(const std::string& text, size_t width = 40) {  // with colour, the escape sequences left out
  Rows rows = MarkdownRows(text, width, true);
  for (std::string& row : rows) {
    for (size_t begin = 0; (begin = row.find("\033[")) != std::string::npos;) {
      row.erase(begin, row.find('m', begin) + 1 - begin);
    }
  }
  return rows;
}

TEST_F(TextRows, ACharacterKeepsItsMarks) {
  EXPECT_THAT(Laid("e\u0301e\u0301e\u0301", 2), ElementsAre("e\u0301e\u0301", "e\u0301"));
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467";  // one picture of two columns
  EXPECT_THAT(Laid("a" + family + family, 3), ElementsAre("a" + family, family));
  EXPECT_EQ(ColumnsOf("\033[1ma" + family + "\033[0m"), 3u);
  EXPECT_EQ(ColumnsOf("a\tb"), 9u);
}

TEST_F(TextRows, ScreenRowsAreThoseOfATerminalThatWraps) {
  EXPECT_EQ(ScreenRowsOf("", 10), 1u);
  EXPECT_EQ(ScreenRowsOf("0123456789", 10), 1u);
  EXPECT_EQ(ScreenRowsOf("\033[1m01234567890\033[0m", 10), 2u);
  EXPECT_EQ(ScreenRowsOf("012345678\u4f60", 10), 2u);  // a wide character does not fit into the last column
}

TEST_F(TextRows, LinesOfATableAreWrappedBesideTheirFirstCell) {
  EXPECT_EQ(WrappedLines("short  line\n", 40), "short  line\n");
  EXPECT_EQ(WrappedLines("/system [TEXT]     show or change the system text\n", 30),
            "/system [TEXT]\n    show or change the system\n    text\n");
  EXPECT_EQ(WrappedLines("name                1.0                     from a file\n", 30), "name  1.0  from a file\n");
  EXPECT_EQ(WrappedLines("/set NAME   show or change what is set\n", 38),
            "/set NAME   show or change what is\n            set\n");
  EXPECT_EQ(WrappedLines("a sentence of many words without cells\n", 20), "a sentence of many\nwords without cells\n");
}

TEST_F(Live, RowsThatTheTerminalWrapsCountAsSeveral) {
  LiveRows live;
  const Window window = {.columns = 10, .rows = 24};
  live.Update({"one", "a row of fifteen", "end"}, window);
  EXPECT_EQ(live.Update({"one", "a row of sixteen.", "end"}, window), "\033[2A\ra row of sixteen.\033[K\r\nend\033[K");
  EXPECT_EQ(live.Update({"one", "short", "end"}, window), "\033[2A\rshort\033[K\r\nend\033[K\033[J");
}

TEST_F(Markdown, BlocksBecomeRows) {
  EXPECT_THAT(Drawn("# Title\nText that\ngoes on.\n\nSecond."),
              ElementsAre("Title", "", "Text that", "goes on.", "", "Second."));
  EXPECT_THAT(Drawn("Some:\n- one\n- two\n  - inner\n- three\n\nAfter."),
              ElementsAre("Some:", "", "- one", "- two", "  - inner", "- three", "", "After."));
  EXPECT_THAT(Drawn("3. three\n4. four"), ElementsAre("3. three", "4. four"));
  EXPECT_THAT(Drawn("> quoted\n> more"), ElementsAre("| quoted", "| more"));
  EXPECT_THAT(Drawn("```c\nint a;\n\n  b();\n```\nx"), ElementsAre("int a;", "", "  b();", "", "x"));
  EXPECT_THAT(Drawn("- a long item of a list", 12), ElementsAre("- a long", "  item of a", "  list"));
}

TEST_F(Markdown, StylesTakeThePlaceOfMarks) {
  EXPECT_THAT(MarkdownRows("a **b** *c* `d` ~~e~~", 40, true),
              ElementsAre("a \033[1mb\033[0m \033[3mc\033[0m \033[36md\033[0m \033[9me\033[0m"));
  EXPECT_THAT(Drawn("[text](http://x)"), ElementsAre("text (http://x)"));
}

TEST_F(Markdown, WithoutColourTheMarksStay) {
  const std::string line = "a **b** *c* `d` ~~e~~ [f](g) ![h](i)";
  EXPECT_THAT(Plain(line), ElementsAre(line));
  EXPECT_THAT(Plain("## T\n\n> q\n\n* i\n\n1) j"), ElementsAre("## T", "", "> q", "", "* i", "", "1) j"));
  EXPECT_THAT(Plain("```c\nint a;\n```"), ElementsAre("```c", "int a;", "```"));
}

TEST_F(Markdown, WhatStaysAsItIs) {
  EXPECT_THAT(Drawn("<b>x</b> <script>"), ElementsAre("<b>x</b> <script>"));
  EXPECT_THAT(Drawn("2 * 3 * 4, a_b_c, **open"), ElementsAre("2 * 3 * 4, a_b_c, **open"));
  EXPECT_THAT(Drawn("    four spaces"), ElementsAre("four spaces"));
}

TEST_F(Markdown, EntitiesBecomeCharacters) {
  EXPECT_THAT(Drawn("a &amp; b &lt;c&gt; &#65;&#x42; &mdash; &nosuch; `&amp;`"),
              ElementsAre("a & b <c> AB \u2014 &nosuch; &amp;"));
  EXPECT_THAT(Drawn("&#27;[2J &#x9b; &#0;"), ElementsAre("&#27;[2J &#x9b; &#0;"));  // never a control character
}

// What is copied from the screen is the code.
TEST_F(Markdown, CodeIsNeverWrapped) {
  const std::string line = "std::sort(values.begin(), values.end());\tx";
  EXPECT_THAT(Plain("```\n" + line + "\n```", 12), ElementsAre("```", line, "```"));
  EXPECT_THAT(MarkdownRows("```\n" + line + "\n```", 12, true), ElementsAre("\033[36m" + line + "\033[0m"));
}

TEST_F(Markdown, TabsOfCodeStayTabs) {
  EXPECT_THAT(Plain("```make\nall: a\n\tcc a.c\n\t\tx\n  y\n \tz\n\n```\n\tend"),
              ElementsAre("```make", "all: a", "\tcc a.c", "\t\tx", "  y", " \tz", "", "```", "", "end"));
  // The indent of the list is not the code's.
  EXPECT_THAT(Plain("- ```\n  a:\n  \tb\n    c\n  ```"),
              ElementsAre("- ```", "  a:", testing::AnyOf("  \tb", "    b"), "    c", "  ```"));
}

TEST_F(Markdown, TablesAreAligned) {
  const std::string table = "| name | n |\n|:--|--:|\n| one | 1 |\n| **eleven** | 11 |";
  EXPECT_THAT(Plain(table),
              ElementsAre("| name       |  n |", "|------------|---:|", "| one        |  1 |", "| **eleven** | 11 |"));
  EXPECT_THAT(Drawn(table), ElementsAre("name     n", "------  --", "one      1", "eleven  11"));
  const std::string wide = "| a | b |\n|---|---|\n| first | some words that are wrapped |";
  EXPECT_THAT(Drawn(wide, 24),
              ElementsAre("a      b", "-----  -----------------", "first  some words that", "       are wrapped"));
  // Too narrow for columns.
  EXPECT_THAT(Drawn(wide, 12), ElementsAre("a: first", "b: some", "  words that", "  are", "  wrapped"));
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
      for (const bool color : {false, true}) {
        for (const std::string& row : MarkdownRows(beginning, width, color)) {
          EXPECT_LE(ColumnsOf(row), width) << row;
        }
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
