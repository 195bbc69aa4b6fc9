// The parts of the Error that a call throws, to check the place and the value that it names; sentences may be improved.
// Every error says what to do next.
//   EXPECT_THAT(InfoOf([&] { ReadTextFile(path, 3); }), Names(path, "5 bytes"));
#pragma once

#include <gmock/gmock.h>

#include <ostream>
#include <string>

#include "base/error.h"

namespace stablelm {

// Fails the test, with empty parts, when the call throws nothing or something else.
template <typename E = Error, typename F>
ErrorInfo InfoOf(F&& call) {
  try {
    call();
  } catch (const E& error) {
    EXPECT_FALSE(error.info().hint.empty() && error.info().expected.empty()) << "no next step: " << error.what();
    return error.info();
  } catch (const std::exception& other) {
    ADD_FAILURE() << "not the kind of error that is wanted: " << other.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

// The two parts that say what an error is about: texts to be equal to, or matchers.
inline testing::Matcher<const ErrorInfo&> Names(const testing::Matcher<const std::string&>& where,
                                                const testing::Matcher<const std::string&>& found = "") {
  return testing::AllOf(testing::Field("where", &ErrorInfo::where, where),
                        testing::Field("found", &ErrorInfo::found, found));
}

inline void PrintTo(const ErrorInfo& info, std::ostream* out) { *out << "the Error \"" << Error(info).what() << "\""; }

}  // namespace stablelm
