// The one exception of the program, and the assertion for our own mistakes.
//
// Error is for the world's faults (file, flag, request, device): it says where, what, what was found, what was expected
// and what to do next. It crosses floors as an exception, is never thrown in hot loops, and is caught once, by the
// program. STABLELM_CHECK is for our bugs: always on, aborts with file and line.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// Every field but `what` may be empty. Settings stand in backquotes, `cache=fp32` (cli/app/setting_flags.h). Example:
//   throw Error({.where = "model.bin: tensor \"embed_out.weight\"", .what = "wrong shape",
//                .found = "[12288, 4096]", .expected = "[18432, 6144]", .hint = "this looks like the 3B checkpoint"});
struct ErrorInfo {
  std::string where = {};     // file, tensor, flag, line: the place
  std::string what = {};      // what is wrong, in words
  std::string found = {};     // the offending value
  std::string expected = {};  // what would have been right
  std::string hint = {};      // the next step for the user
};

class Error : public std::exception {
 public:
  explicit Error(ErrorInfo info);
  const ErrorInfo& info() const noexcept { return info_; }
  // One line "WHERE: WHAT: found F, expected E"; a second line "hint:  H" when there is a hint. No trailing newline.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorInfo info_;
  std::string text_;
};

// A user asked for something that the command line does not offer: exit code 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Quotes a string for an error message: control bytes and invalid UTF-8 as \xNN, cut at max_bytes with "...".
std::string Quoted(std::string_view text, size_t max_bytes = 120);
// "a, b, c"
std::string Joined(std::span<const std::string> words, std::string_view between = ", ");

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace stablelm

#define STABLELM_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::stablelm::CheckFailed(__FILE__, __LINE__, #condition))
