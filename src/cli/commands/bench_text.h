// Text formatting that the bench commands share.
#pragma once

#include <cstdio>
#include <string>

#include "base/repeated_timing.h"

namespace stablelm {

// "1 thread", "2 threads"
inline std::string ThreadsText(size_t n_threads) {
  return std::to_string(n_threads) + (n_threads == 1 ? " thread" : " threads");
}

// "(1.5 to 2.5)"
inline std::string Range(const Samples& s) {
  char text[64];
  std::snprintf(text, sizeof text, "(%.1f to %.1f)", s.min, s.max);
  return text;
}

}  // namespace stablelm
