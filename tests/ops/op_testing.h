// Shared by the tests of operations: every SIMD target, seeded inputs, guard zones, misaligned bytes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/sha256.h"
#include "base/tensor.h"
#include "ops/convert.h"
#include "ops/packed_matrix.h"
#include "ops/quant/quant_row.h"
#include "ops/simd.h"

namespace stablelm {

inline constexpr double kEps = 0x1p-24;  // unit round-off of fp32

// Runs the body under every SIMD target that this machine has.
inline void ForEachSimdTarget(const std::function<void()>& body) {
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE("SIMD target " + target);
    SelectSimdTarget(target);
    body();
  }
  SelectSimdTarget("");
}

inline bool HasFma(const std::string& target) { return target != "sse4" && target != "scalar"; }

// Multiples of 2^-22 in [-2, 2): computed without a mathematical library, so the same on every machine.
inline std::vector<float> RandomFractions(size_t n, uint64_t seed) {
  const Philox philox(seed);
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(std::floor(philox.Uniform(0, i) * 0x1p24) * 0x1p-22 - 2);
  return out;
}

// Values between -1 and 1, drawn quickly: for large inputs.
inline std::vector<float> ManyValues(size_t n, uint32_t seed) {
  std::vector<float> out(n);
  for (float& value : out) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31f;
  }
  return out;
}

// Digest of the bits of floats: 16 hexadecimal digits.
inline std::string DigestOf(std::span<const float> values) {
  return Sha256Hex({reinterpret_cast<const char*>(values.data()), values.size_bytes()}).substr(0, 16);
}

// Normal samples times `scale`; callers put the seed into their trace.
inline std::vector<float> RandomNormals(size_t n, uint64_t seed, double scale = 1) {
  const Philox philox(seed);
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = 1 - philox.Uniform(0, i), v = philox.Uniform(1, i);
    out[i] = static_cast<float>(scale * std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
  }
  return out;
}

// n floats with a guard zone on both sides; Check fails when a zone was written.
class GuardedFloats {
 public:
  explicit GuardedFloats(size_t n) : n_(n), all_(n + 2 * kGuard, kMark) {}
  float* data() { return all_.data() + kGuard; }
  std::span<float> span() { return {data(), n_}; }
  void Check() const {
    for (size_t i = 0; i < kGuard; ++i) {
      ASSERT_EQ(all_[i], kMark) << "written before the buffer";
      ASSERT_EQ(all_[kGuard + n_ + i], kMark) << "written behind the buffer";
    }
  }

 private:
  static constexpr size_t kGuard = 32;
  static constexpr float kMark = -123456.75f;
  size_t n_;
  std::vector<float> all_;
};

// Values stored as `type` in a heap block of exactly the right size, `offset` bytes from an aligned address, so that
// the address sanitizer catches reads past the end.
class StoredFloats {
 public:
  StoredFloats(std::span<const float> values, DType type, Shape shape, size_t offset)
      : type_(type), shape_(shape), bytes_(offset + values.size() * BytesOf(type)), offset_(offset) {
    ConvertFromFloat(values.data(), values.size(), type, bytes_.data() + offset);
  }
  TensorView view() const { return {bytes_.data() + offset_, type_, shape_}; }

 private:
  DType type_;
  Shape shape_;
  std::vector<std::byte> bytes_;
  size_t offset_;
};

// Packs every row; `rows` are stored one after another.
inline void PackRows(PackedMatrix& packed, const std::byte* rows) {
  for (size_t p = 0; p < packed.panels(); ++p) packed.Pack(p, rows + p * kPanelRows * packed.row_bytes());
}

// A matrix of a quantized type that products read. Quants and integer scales are random bytes; fp16 scales get a
// moderate exponent, so that they are finite.
inline PackedMatrix RandomQuantized(DType type, size_t n, size_t k, uint64_t seed) {
  const Philox philox(seed);
  PackedMatrix packed(type, static_cast<int64_t>(n), static_cast<int64_t>(k), "weights");
  const size_t row_bytes = packed.row_bytes(), block_bytes = BlockBytes(type);
  std::vector<std::byte> stored(n * row_bytes + 1);
  std::byte* const rows = stored.data() + 1;  // at an odd address
  for (size_t i = 0; i < n * row_bytes; ++i) rows[i] = static_cast<std::byte>(philox.Uniform(0, i) * 256);
  for (size_t block = 0; block < n * row_bytes; block += block_bytes) {
    for (const BlockField& field : PackedFields(type)) {
      if (field.unit != 2) continue;
      for (size_t i = 0; i < field.count; ++i) {
        std::byte& high = rows[block + field.offset + 2 * i + 1];
        high = (high & std::byte{0x83}) | std::byte{0x20};  // sign, two bits of fraction, exponents 8 and 12
      }
    }
  }
  PackRows(packed, rows);
  // Packing loses nothing.
  std::vector<std::byte> row(row_bytes);
  for (size_t r = 0; r < n; ++r) {
    packed.StoredRow(r, row.data());
    EXPECT_EQ(std::memcmp(row.data(), rows + r * row_bytes, row_bytes), 0) << NameOf(type) << " row " << r;
  }
  return packed;
}

// |a - b| <= tolerance, false for NaN.
inline bool Near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance; }

}  // namespace stablelm
