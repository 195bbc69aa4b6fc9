// The program's exception, and the assertion for bugs.
//
// Error reports faults outside the code (file, flag, request, device): where, what, what was found, what was expected
// and what to do next. Any floor may throw it, but never in a hot loop; the program catches it once. STABLELM_CHECK
// asserts against our own bugs: always on, aborts with file and line.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// Only `what` is required. Write settings in backquotes, `cache=fp32` (cli/app/setting_flags.h). Example:
//   throw Error({.where = "model.bin: tensor \"embed_out.weight\"", .what = "wrong shape",
//                .found = "[12288, 4096]", .expected = "[18432, 6144]", .hint = "this looks like the 3B checkpoint"});
struct ErrorInfo {
  std::string where = {};     // location: file, tensor, flag, line
  std::string what = {};      // what is wrong, in words
  std::string found = {};     // the offending value
  std::string expected = {};  // the valid values
  std::string hint = {};      // the next step for the user
};

class Error : public std::exception {
 public:
  explicit Error(ErrorInfo info);
  const ErrorInfo& info() const noexcept { return info_; }
  // One line "WHERE: WHAT: found F, expected E"; a second line "hint:  H" when there is a hint. No trailing newline.
  const char* what() const noexcept override { return text_.c_str(); }
  // The line without the hint: what a warning says of something that is left aside.
  std::string Line() const;

 private:
  ErrorInfo info_;
  std::string text_;
};

// Wrong use of the command line: exit code 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Quotes a string for an error message: escapes control bytes and invalid UTF-8 as \xNN, truncates at max_bytes with
// "...".
std::string Quoted(std::string_view text, size_t max_bytes = 120);
// "a, b, c"
std::string Joined(std::span<const std::string> words, std::string_view between = ", ");

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace stablelm

#define STABLELM_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::stablelm::CheckFailed(__FILE__, __LINE__, #condition))
