// Command options with strict values, on top of CLI11. Each kind of value has one way to be written.
//
// Values arrive as the user's bytes, without CLI11's own conversions (octal numbers, "[a,b]" lists, "{}"). A value that
// does not parse throws UsageError, which names the option, what was found and what was expected.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

// Adds an option (`name` is "--flag" or "-f,--flag") or a positional argument (`name` without dashes) with one value.
// --help shows `metavar`; `set` gets the value's bytes and may throw UsageError.
void AddValue(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
              std::function<void(const std::string& bytes)> set);
// The same for a repeatable option: calls `set` for each value, in order.
void AddValues(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
               std::function<void(const std::string& bytes)> set);
void AddFlag(CLI::App& app, const std::string& name, bool& value, const std::string& help);

// Parse a strict decimal number: the whole text, no spaces, no plus sign, no NaN or infinity, within [min, max].
// Throw UsageError; `where` names the option (or file and line) in it.
int64_t ParseInteger(std::string_view text, const std::string& where, int64_t min, int64_t max);
uint64_t ParseUnsigned(std::string_view text, const std::string& where, uint64_t min, uint64_t max);
double ParseReal(std::string_view text, const std::string& where, double min, double max);
// Parses token ids separated by white space or commas, with or without brackets: "1 2 3", "[1, 2, 3]". The caller
// checks their range. `where` names the list in errors; when it is empty, they count the ids from 1.
std::vector<int32_t> ParseIds(std::string_view text, const std::string& where);

inline void ParseNumber(std::string_view text, const std::string& where, int64_t min, int64_t max, int64_t& out) {
  out = ParseInteger(text, where, min, max);
}
inline void ParseNumber(std::string_view text, const std::string& where, uint64_t min, uint64_t max, uint64_t& out) {
  out = ParseUnsigned(text, where, min, max);
}
inline void ParseNumber(std::string_view text, const std::string& where, double min, double max, double& out) {
  out = ParseReal(text, where, min, max);
}

template <typename T>
struct Limits {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

// T is int64_t, uint64_t or double. The help text should name the default where it is not obvious.
template <typename T>
void AddNumber(CLI::App& app, const std::string& name, T& value, Limits<T> limits, const std::string& help) {
  AddValue(app, name, "N", help,
           [&value, limits, name](const std::string& text) { ParseNumber(text, name, limits.min, limits.max, value); });
}
// The same for a number without a default: empty when the option is not given.
template <typename T>
void AddNumber(CLI::App& app, const std::string& name, std::optional<T>& value, Limits<T> limits,
               const std::string& help) {
  AddValue(app, name, "N", help, [&value, limits, name](const std::string& text) {
    T number{};
    ParseNumber(text, name, limits.min, limits.max, number);
    value = number;
  });
}
inline void AddText(CLI::App& app, const std::string& name, const std::string& metavar, std::string& value,
                    const std::string& help) {
  AddValue(app, name, metavar, help, [&value](const std::string& text) { value = text; });
}
inline void AddText(CLI::App& app, const std::string& name, const std::string& metavar,
                    std::optional<std::string>& value, const std::string& help) {
  AddValue(app, name, metavar, help, [&value](const std::string& text) { value = text; });
}
// Adds an option with one of `choices` as its value; `set` gets the index. Other values are refused, with the nearest
// choice as a hint.
void AddChoice(CLI::App& app, const std::string& name, std::vector<std::string> choices, const std::string& help,
               std::function<void(size_t index)> set);

// Options that are added from now on are listed under this heading in --help-all.
void BeginGroup(CLI::App& app, const std::string& heading);
inline constexpr const char* kCommonGroup = "Every command";

// With kTakesModelFirst: the positional argument MODEL, before the command's own.
void AddModelArgument(CLI::App& app, unsigned takes, CommonOptions& common);
void AddCommonOptions(CLI::App& app, unsigned takes, CommonOptions& common);

// DIR[:SCALE] of --lora: a path that exists is taken whole, else what is behind the last colon is the scale. Throws
// UsageError for a scale that is no number.
LoraOption ParseLora(const std::string& text);
// Adds --lora, repeatable.
void AddLora(CLI::App& app, std::vector<LoraOption>& lora);

// Throws UsageError when a required option was not given.
void RequireGiven(bool given, const std::string& option, const std::string& hint = {});

// A command's input text: TEXT on the command line, --file F, or standard input.
struct TextInput {
  std::optional<std::string> text;
  std::string file;
  bool replace_invalid = false;  // --invalid-utf8 replace
};
// `positional` is the name of the argument in --help, "TEXT" or "PROMPT". The text "-" is standard input.
void AddTextInput(CLI::App& app, TextInput& input, const std::string& positional);
// Returns the bytes unchanged, nothing stripped. Throws UsageError when both TEXT and --file are given, Error when the
// file cannot be read or when the bytes are not UTF-8 (names the offset) and `replace_invalid` is off.
std::string ReadTextInput(const TextInput& input, Output& out);
// The same without a check of the encoding, for lists of ids and JSON lines.
std::string ReadRawInput(const TextInput& input, Output& out);
// Reads a whole file or pipe; "-" is standard input.
std::string ReadFileOrPipe(const std::string& path);

// Adds --invalid-utf8 error|replace.
void AddInvalidUtf8(CLI::App& app, bool& replace);
// Throws Error when bytes are not UTF-8, or with `replace` repairs them.
std::string CheckedUtf8(std::string bytes, const std::string& where, bool replace);
// Always throws Error for invalid UTF-8, for commands without --invalid-utf8.
std::string RequiredUtf8(std::string bytes, const std::string& where, const std::string& hint = {});

}  // namespace stablelm
