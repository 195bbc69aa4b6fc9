// The text of the Error that a call throws; "" if it throws none. Every error says what to do next.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace stablelm {

template <typename F>
std::string ErrorText(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_FALSE(error.info().hint.empty() && error.info().expected.empty()) << "no next step: " << error.what();
    return error.what();
  }
  return "";
}

}  // namespace stablelm
