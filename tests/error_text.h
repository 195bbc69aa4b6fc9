// The text of the Error that a call throws; "" if it throws none.
#pragma once

#include <string>

#include "base/error.h"

namespace stablelm {

template <typename F>
std::string ErrorText(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace stablelm
