// A number in a message: "0.1", "2e-05".
#pragma once

#include <cstdio>
#include <string>

namespace stablelm {

// Ten digits at most, without trailing zeros.
inline std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

}  // namespace stablelm
