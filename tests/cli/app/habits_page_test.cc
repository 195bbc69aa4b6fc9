// The last table of docs/coming_from.md is the table of habits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "cli/app/habits.h"
#include "test_paths.h"

namespace stablelm {
namespace {

std::string Code(std::string_view text) { return "`" + std::string(text) + "`"; }

// "`-1`: `2147483648`; `0`: left out"
std::string Values(const Habit& habit) {
  std::string text;
  for (const HabitValue& value : habit.values) {
    text += (text.empty() ? "" : ", ") + Code(value.typed) + (value.means.empty() ? ": the default" : "");
    if (!value.means.empty()) text += ": " + (value.about.empty() ? Code(value.means) : std::string(value.about));
  }
  return text;
}

std::string Meaning(const Habit& habit) {
  switch (habit.kind) {
    case HabitKind::kOption:
      if (habit.option == "TEXT") return "the text argument";
      if (habit.option == "OUT") return "the argument OUT";
      return habit.option == habit.name ? "the same" : Code(habit.option);
    case HabitKind::kAlreadySo:
      return "always so";
    case HabitKind::kNotHere:
      return "refused";
  }
  return {};
}

std::string Table() {
  std::string table = "| name | here | values | note |\n|---|---|---|---|\n";
  for (const Habit& habit : Habits()) {
    std::string note(habit.reason);
    if (!habit.commands.empty()) note += (note.empty() ? "" : "; ") + std::string("in ") + std::string(habit.commands);
    const bool earlier = std::any_of(Habits().data(), &habit, [&](const Habit& row) { return row.name == habit.name; });
    if (habit.commands.empty() && earlier) note += (note.empty() ? "" : "; ") + std::string("in other commands");
    if (habit.part != 0) note += "keys and values have one type";
    if (!habit.beside.empty()) {
      const std::string_view with = habit.beside.substr(0, habit.beside.find(' '));
      const std::string_view then = habit.beside.substr(with.size() + 1);
      note += (note.empty() ? "" : "; ") + Code(then) + " beside " + Code(with);
    }
    table += "| " + Code(habit.name) + " | " + Meaning(habit) + " | " + Values(habit) + " | " + note + " |\n";
  }
  return table;
}

TEST(HabitsPage, ListsEveryName) {
  std::ifstream file(TestData("../../docs/coming_from.md"));
  std::stringstream page;
  page << file.rdbuf();
  const std::string text = page.str(), begin = "writes it -->\n", end = "<!-- end of habits -->";
  const size_t from = text.find(begin), to = text.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  EXPECT_EQ(text.substr(from + begin.size(), to - from - begin.size()), Table())
      << "put this table between the two marks of docs/coming_from.md";
}

}  // namespace
}  // namespace stablelm
