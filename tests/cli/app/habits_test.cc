// Walks the whole table of names that other programs use: every row parses in a command that has its option, and means
// what the row says.
#include "cli/app/habits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/error.h"
#include "cli/app/arguments.h"
#include "cli/app/commands.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class HabitTable : public testing::Test {
 protected:
  HabitTable() : commands_(DescribeCommands(AllCommands())) {}

  static const OptionText* Find(const CommandText& command, std::string_view name) {
    for (const OptionText& option : command.options) {
      if (name == "TEXT" ? option.IsText() : std::ranges::find(option.names, name) != option.names.end())
        return &option;
    }
    return nullptr;
  }
  // Whether the row applies to the command: the command has its option, no option of this name, and no earlier row.
  static bool Applies(const Habit& habit, const CommandText& command) {
    const auto has = [&](std::string_view option) { return Find(command, option) != nullptr; };
    if (FindHabit(habit.name, command.name, has) != &habit) return false;
    const OptionText* own = Find(command, habit.name);
    return !own || own == Find(command, habit.option);
  }
  const CommandText& Command(const std::string& name) const {
    return *std::ranges::find(commands_, name, &CommandText::name);
  }
  Arguments Read(const std::string& command, const std::vector<std::string>& words) const {
    return ReadArguments(words, Command(command));
  }

  const std::vector<CommandText> commands_;
};

TEST_F(HabitTable, EveryRowMeansWhatItSays) {
  for (const Habit& habit : Habits()) {
    int commands = 0;
    const std::string name(habit.name);
    SCOPED_TRACE(name + " of " + std::string(habit.commands));
    for (const CommandText& command : commands_) {
      if (!Applies(habit, command)) continue;
      ++commands;
      if (habit.kind == HabitKind::kNotHere) {
        std::vector<std::string> words = {name};
        if (habit.takes == HabitTakes::kValue) words.emplace_back("99");
        const ErrorInfo info = InfoOf<UsageError>([&] { ReadArguments(words, command); });
        EXPECT_EQ(info.where, name);
        EXPECT_EQ(info.hint, habit.reason);
        for (const HabitValue& value : habit.values) {
          words[1] = value.typed;
          EXPECT_THAT(ReadArguments(words, command).options, IsEmpty());
        }
        continue;
      }
      if (habit.kind == HabitKind::kAlreadySo) {
        EXPECT_THAT(ReadArguments(std::vector{name}, command).options, IsEmpty());
        for (const HabitValue& value : habit.values) {
          EXPECT_THAT(ReadArguments(std::vector{name, std::string(value.typed)}, command).options, IsEmpty());
        }
        continue;
      }
      const OptionText& option = *Find(command, habit.option);
      const auto value_of = [&](const std::vector<std::string>& words) -> std::optional<std::string> {
        const Arguments read = ReadArguments(words, command);
        EXPECT_THAT(read.positionals, IsEmpty());
        if (habit.option == "OUT") return read.out;
        if (option.Positional()) return read.text;
        const std::string* value = read.ValueOf(option.LongName());
        EXPECT_LE(read.options.size(), 1u);
        return value ? std::optional(*value) : std::nullopt;
      };
      if (option.IsTrueOrFalse()) {
        EXPECT_EQ(value_of({name}), "true");
      }
      EXPECT_EQ(value_of({name + "=7"}), HabitValueOf(habit, "7"));
      for (const HabitValue& value : habit.values) {
        const auto means = value.means.empty() ? std::nullopt : std::optional(std::string(value.means));
        if (!option.IsTrueOrFalse()) {
          EXPECT_EQ(value_of({name, std::string(value.typed)}), means) << value.typed;
        }
        EXPECT_EQ(value_of({name + "=" + std::string(value.typed)}), means) << value.typed;
      }
    }
    EXPECT_GT(commands, 0);
  }
}

TEST_F(HabitTable, EveryRowIsReached) {
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> seen;
  for (const Habit& habit : Habits()) {
    EXPECT_TRUE(habit.name.starts_with("-"));
    const std::string_view instead = habit.kind == HabitKind::kNotHere ? habit.option : "";
    EXPECT_TRUE(seen.emplace(habit.name, habit.commands, instead).second) << habit.name;
    if (habit.kind != HabitKind::kNotHere) {
      EXPECT_EQ(habit.kind == HabitKind::kOption, !habit.option.empty()) << habit.name;
    }
  }
}

TEST_F(HabitTable, ShortNamesOfSeveralLettersComeFirst) {
  for (const char* name : {"-ngl", "-dev", "-mg", "-sm", "-ts", "-tb", "-b"}) {
    EXPECT_THAT(InfoOf<UsageError>([&] { Read("generate", {name, "1"}); }), Names(name, "\"1\""));
  }
  EXPECT_EQ(*Read("generate", {"-sys", "Be brief"}).ValueOf("--system"), "Be brief");
  EXPECT_EQ(*Read("generate", {"-np", "4"}).ValueOf("--parallel"), "4");
  EXPECT_EQ(*Read("generate", {"-ctk", "q8_0", "-ctv", "q8_0"}).ValueOf("--kv"), "q8");
  EXPECT_THAT(Read("chat", {"-cnv", "-fa", "on"}).options, IsEmpty());
  EXPECT_THAT(Read("generate", {"-nkvo", "-co", "-v", "--jinja", "--no-context-shift"}).options, IsEmpty());
  EXPECT_EQ(*Read("generate", {"--chat-template", "stablelm-tuned"}).ValueOf("--template"), "stablelm-tuned");
  EXPECT_THAT(InfoOf<UsageError>([&] { Read("generate", {"-ngl99"}); }), Names("-ngl", "\"99\""));
  EXPECT_EQ(*Read("generate", {"-np4"}).ValueOf("--parallel"), "4");
  for (const char* typed : {"-temp", "-temp0.5"}) {
    EXPECT_THAT(InfoOf<UsageError>([&] { Read("generate", {typed, "0.5"}); }).hint, HasSubstr("--temperature?"));
  }
  EXPECT_THAT(InfoOf<UsageError>([&] { Read("generate", {"-lora", "x"}); }).hint, HasSubstr("--lora?"));
}

TEST_F(HabitTable, KeysAndValuesHaveOneType) {
  EXPECT_EQ(*Read("generate", {"-ctk", "f16", "-ctv", "q8_0", "-ctk", "q8"}).ValueOf("--kv"), "q8");
  const ErrorInfo info = InfoOf<UsageError>([&] { Read("generate", {"-ctk", "q8_0", "--cache-type-v", "f16"}); });
  EXPECT_EQ(info.where, "--cache-type-v");
  EXPECT_THAT(info.what, HasSubstr("-ctk"));
  EXPECT_THAT(info.hint, HasSubstr("--kv"));
}

TEST_F(HabitTable, FilesToWriteAreArguments) {
  EXPECT_EQ(Read("convert", {"small", "--outfile", "c.gguf"}).out, "c.gguf");
  EXPECT_EQ(Read("quantize", {"-o", "c.gguf", "small"}).out, "c.gguf");
  EXPECT_EQ(Read("lora merge", {"small", "--lora", "a", "-o", "c.gguf"}).out, "c.gguf");
  EXPECT_EQ(*Read("quantize", {"small", "c.gguf", "--outtype", "f16"}).ValueOf("--type"), "F16");
  EXPECT_THAT(InfoOf<UsageError>([&] { Read("chat", {"m", "-p", "hi"}); }), Names("-p", "\"hi\""));
  EXPECT_THAT(InfoOf<UsageError>([&] {
                Read("run", {"m", "-f", "x"});
              }).hint,
              AllOf(HasSubstr("stablelm run MODEL TEXT - <"), HasSubstr("stablelm run -p TEXT - <")));
}

TEST_F(HabitTable, BenchKeepsItsOwnNames) {
  const Arguments read = Read("bench model", {"-p", "128", "-n", "8", "-b", "1,4", "--samples", "5", "-t4"});
  EXPECT_EQ(*read.ValueOf("--prompt"), "128");
  EXPECT_EQ(*read.ValueOf("--steps"), "8");
  EXPECT_EQ(*read.ValueOf("--batch"), "1,4");
  EXPECT_EQ(*read.ValueOf("--samples"), "5");
  EXPECT_EQ(*read.ValueOf("--threads"), "4");
  EXPECT_EQ(*Read("bench model", {"-r", "5"}).ValueOf("--samples"), "5");
}

TEST_F(HabitTable, WhatIsAlwaysSoIsNotSwitchedOff) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--color", "off"}, {"-co", "0"}, {"--color=never"}}) {
    const ErrorInfo info = InfoOf<UsageError>([&] { Read("generate", words); });
    EXPECT_EQ(info.expected, "on or auto");
    EXPECT_THAT(info.hint, HasSubstr("NO_COLOR"));
  }
  EXPECT_THAT(Read("generate", {"--color", "on"}).options, IsEmpty());
  EXPECT_THAT(Read("generate", {"-fa", "off"}).options, IsEmpty());  // the same result
}

TEST_F(HabitTable, SequencesAreBeamsOrSamples) {
  EXPECT_EQ(*Read("generate", {"--num-return-sequences", "3"}).ValueOf("--samples"), "3");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--num-return-sequences", "3", "--num-beams", "4"},
        std::vector<std::string>{"--beams=4", "--num-return-sequences=3"}}) {
    const Arguments read = Read("generate", words);
    EXPECT_EQ(*read.ValueOf("--num-return"), "3");
    EXPECT_EQ(read.ValueOf("--samples"), nullptr);
  }
  EXPECT_EQ(*Read("generate", {"--num_beams", "1", "--num_return_sequences", "3"}).ValueOf("--samples"), "3");
}

TEST_F(HabitTable, ListsAddUpAndSingleValuesDoNot) {
  const CommandText& generate = Command("generate");
  for (const char* name : {"--stop", "--stop-id", "--logit-bias", "--bad-words-ids", "--suppress-tokens"}) {
    EXPECT_TRUE(Find(generate, name)->repeats) << name;
  }
  EXPECT_TRUE(Find(Command("quantize"), "--tensor")->repeats);
  for (const char* name : {"--seed", "--model", "--max-new-tokens", "--json", "--system"}) {
    EXPECT_FALSE(Find(generate, name)->repeats) << name;
  }
}

TEST_F(HabitTable, CommandsOfOthers) {
  EXPECT_EQ(CommandOfHabit("show"), "inspect");
  EXPECT_EQ(CommandOfHabit("perplexity"), "score");
  EXPECT_EQ(CommandOfHabit("chat"), "chat");
  for (const char* name : {"serve", "pull", "evaluate"}) {
    EXPECT_THAT(std::string(AboutMissingCommand(name)), HasSubstr("later version"));
    EXPECT_TRUE(std::ranges::none_of(commands_, [&](const CommandText& command) { return command.name == name; }));
  }
  EXPECT_EQ(AboutMissingCommand("chat"), "");
}

}  // namespace
}  // namespace stablelm
