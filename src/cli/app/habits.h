// Names that users of other programs type (llama.cpp, Ollama, transformers, vLLM), and what they mean here. One table,
// read by the parser of arguments (cli/app/arguments.h), by suggestions, by --help-all and by the documentation's test.
//
// A command's own names come first; a row with an option applies only to commands that have it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// A value as another program writes it, and as it is written here.
struct HabitValue {
  std::string_view typed;
  std::string_view means;       // empty: as if the option were not given
  std::string_view about = {};  // `means` in words, where it says little
};

enum class HabitKind : uint8_t {
  kOption,     // another name of `option`, or another way to write its values
  kAlreadySo,  // accepted without effect: the program always does it
  kNotHere,    // refused, with `reason` as the next step, but for the values that it lists
};
// The value that a name without an option here takes.
enum class HabitTakes : uint8_t { kNothing, kValue, kOptionalWord };

struct Habit {
  HabitKind kind = HabitKind::kOption;
  std::string_view name;         // with its dashes: "-n", "--num-predict"
  std::string_view option = {};  // our long name; "TEXT": the command's text argument; "OUT": the file that it writes;
                                 // of kNotHere: what the command has instead, empty: in any command
  std::span<const HabitValue> values = {};  // of kAlreadySo: for which it is so; none: for any
  HabitTakes takes = HabitTakes::kNothing;
  std::string_view reason = {};    // kAlreadySo, kNotHere: why; kOption: a note for whoever uses the name
  std::string_view commands = {};  // "generate, bench model": only in these commands; empty: in all
  std::string_view beside = {};    // "--beams --num-return": the option when another one is given
  char part = 0;                   // 'k', 'v': rows that set parts of one option, which must agree
};

std::span<const Habit> Habits();

// The first row of this exact name that applies to the command: that has its option (`has_option`) and lists it.
const Habit* FindHabit(std::string_view name, std::string_view command,
                       const std::function<bool(std::string_view option)>& has_option);
// Whether any command knows the name. For errors that say which option a name stands for.
const Habit* FindHabit(std::string_view name);

// The value as it is written here; no value when it means that the option is not given.
std::optional<std::string> HabitValueOf(const Habit& habit, const std::string& typed);

// Names of commands in other programs: "show" is inspect. The name itself when there is none.
std::string_view CommandOfHabit(std::string_view name);
// A sentence about a command that later versions have, or that only others need; empty for other words.
std::string_view AboutMissingCommand(std::string_view name);

}  // namespace stablelm
