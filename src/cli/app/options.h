// Options of commands: strict values, one way to write each kind, over CLI11.
//
// Values arrive as the bytes that the user gave: CLI11's own conversions (octal numbers, "[a,b]" lists, "{}") are not
// used. A value that does not parse is a UsageError that names the option, what was found and what is expected.
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

// An option (`name` is "--flag" or "-f,--flag") or a positional argument (`name` without dashes) with one value.
// `metavar` is shown in --help; `set` is called with the bytes of the value and may throw UsageError.
void AddValue(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
              std::function<void(const std::string& bytes)> set);
// The same for an option that may be given more than once: `set` is called for each value, in order.
void AddValues(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
               std::function<void(const std::string& bytes)> set);
void AddFlag(CLI::App& app, const std::string& name, bool& value, const std::string& help);

// Strict decimal numbers: the whole text, no spaces, no plus sign, no NaN or infinity, within [min, max].
// `where` names the option (or file and line) in the error.
int64_t ParseInteger(std::string_view text, const std::string& where, int64_t min, int64_t max);
uint64_t ParseUnsigned(std::string_view text, const std::string& where, uint64_t min, uint64_t max);
double ParseReal(std::string_view text, const std::string& where, double min, double max);
// Token ids with white space or commas between them, in brackets or not: "1 2 3", "[1, 2, 3]". Their range is for the
// caller to check. `where` names the list in errors, may be empty.
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

// int64_t, uint64_t or double. The help text should name the default where it is not obvious.
template <typename T>
void AddNumber(CLI::App& app, const std::string& name, T& value, Limits<T> limits, const std::string& help) {
  AddValue(app, name, "N", help,
           [&value, limits, name](const std::string& text) { ParseNumber(text, name, limits.min, limits.max, value); });
}
// The same for a number without a default: empty when the user gave none.
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
// One of `choices`; `set` gets its index. Anything else is refused with the nearest.
void AddChoice(CLI::App& app, const std::string& name, std::vector<std::string> choices, const std::string& help,
               std::function<void(size_t index)> set);

void AddCommonOptions(CLI::App& app, unsigned takes, CommonOptions& common);

// Throws UsageError with the usual words when an option that a command needs was not given.
void RequireGiven(bool given, const std::string& option, const std::string& hint = {});

// Input text of a command: TEXT on the command line, or --file F, or standard input.
struct TextInput {
  std::optional<std::string> text;
  std::string file;
  bool replace_invalid = false;  // --invalid-utf8 replace
};
// `positional` is the name of the argument in --help, "TEXT" or "PROMPT".
void AddTextInput(CLI::App& app, TextInput& input, const std::string& positional);
// The bytes as they are, nothing stripped. Throws UsageError when both TEXT and --file are given, Error when the bytes
// are not UTF-8 (names the offset) and were not asked to be replaced, or when the file cannot be read.
std::string ReadTextInput(const TextInput& input, Output& out);
// The same without any look at the encoding: lists of ids, JSON lines.
std::string ReadRawInput(const TextInput& input, Output& out);
// Whole file or pipe; "-" is standard input.
std::string ReadFileOrPipe(const std::string& path);

// --invalid-utf8 error|replace.
void AddInvalidUtf8(CLI::App& app, bool& replace);
// Refuses, or repairs when `replace`, bytes that are not UTF-8.
std::string CheckedUtf8(std::string bytes, const std::string& where, bool replace);
// Only refuses: for commands without that option.
std::string RequiredUtf8(std::string bytes, const std::string& where, const std::string& hint = {});

}  // namespace stablelm
