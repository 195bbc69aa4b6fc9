#include "ops/rotary.h"

#include <cmath>

#include "base/error.h"

namespace stablelm {

size_t RotaryTable::Bytes(int64_t rotary_dims, int64_t max_positions) {
  return static_cast<size_t>(rotary_dims * max_positions) * sizeof(float);
}

RotaryTable::RotaryTable(int64_t rotary_dims, double base, int64_t max_positions)
    : rotary_dims_(rotary_dims),
      max_positions_(max_positions),
      table_(static_cast<size_t>(rotary_dims * max_positions), "rotary table") {
  STABLELM_CHECK(rotary_dims > 0 && rotary_dims % 2 == 0);
  const int64_t half = rotary_dims / 2;
  for (int64_t i = 0; i < half; ++i) {
    // inv_freq = 1.0 / (base ** (arange(0, R, 2) / R)), every step in fp32
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary_dims);
    const float inv_freq = 1.0f / static_cast<float>(std::pow(base, static_cast<double>(exponent)));
    for (int64_t p = 0; p < max_positions; ++p) {
      const float angle = static_cast<float>(p) * inv_freq;
      float* row = table_.data() + p * rotary_dims;
      row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

void RotateInPlace(const RotaryTable& table, int64_t position, float* u) {
  const int64_t half = table.rotary_dims() / 2;
  const float* cos = table.Cos(position);
  const float* sin = table.Sin(position);
  for (int64_t i = 0; i < half; ++i) {
    const float a = u[i], b = u[i + half];
    u[i] = a * cos[i] - b * sin[i];
    u[i + half] = b * cos[i] + a * sin[i];
  }
}

void RotateBackInPlace(const RotaryTable& table, int64_t distance, float* u) {
  const int64_t half = table.rotary_dims() / 2;
  const float* cos = table.Cos(distance);
  const float* sin = table.Sin(distance);
  for (int64_t i = 0; i < half; ++i) {
    const float a = u[i], b = u[i + half];
    u[i] = a * cos[i] + b * sin[i];
    u[i + half] = b * cos[i] - a * sin[i];
  }
}

}  // namespace stablelm
