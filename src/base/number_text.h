// Numbers in messages and tables: "0.1", "2e-05", "3,637,321,728", "12.5 %".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace stablelm {

// Ten digits at most, without trailing zeros.
inline std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

// Digits in groups of three.
template <typename Integer>
std::string Grouped(Integer value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') text += ',';
    text += digits[i];
  }
  return text;
}

// part / whole; 0 of nothing.
inline double ShareOf(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

inline std::string PercentText(double share, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f %%", decimals, 100 * share);
  return text;
}

// "90 s", "42 min", "3.5 h".
inline std::string DurationText(double seconds) {
  char text[64];
  if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 7200) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  }
  return text;
}

}  // namespace stablelm
