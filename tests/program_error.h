// What a run of the program that fails says: EXPECT_THAT(RunProgramBinary({...}), Fails(2, "--size", {"\"0\""})).
#pragma once

#include <gmock/gmock.h>

#include <ostream>
#include <string>
#include <vector>

#include "run_program.h"

namespace stablelm {

// The run ended with this exit code, and a line of standard error is the message: "error: " and the place that is at
// fault (an option, a file), and after it everything of `named` (the value that was found, the option to use instead).
// An error for another reason does not match. Sentences are not compared: they may be improved.
inline testing::Matcher<const ProgramResult&> Fails(int exit_code, const std::string& where,
                                                    const std::vector<std::string>& named = {}) {
  std::vector<testing::Matcher<const std::string&>> parts = {testing::StartsWith("\nerror: " + where)};
  parts.push_back(testing::AnyOf(testing::HasSubstr("\nhint:  "), testing::HasSubstr("expected ")));  // the next step
  for (const std::string& name : named) parts.push_back(testing::HasSubstr(name));
  const auto message = [](const ProgramResult& result) {
    const std::string err = "\n" + result.err;
    const size_t begin = err.find("\nerror: ");
    return begin == std::string::npos ? err : err.substr(begin);
  };
  return testing::AllOf(testing::Field("exit_code", &ProgramResult::exit_code, exit_code),
                        testing::ResultOf("the message", message, testing::AllOfArray(parts)));
}

inline void PrintTo(const ProgramResult& result, std::ostream* out) {
  *out << "exit code " << result.exit_code << ", stderr \"" << result.err << "\"";
}

}  // namespace stablelm
