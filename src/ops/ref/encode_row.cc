// Reference encoders: the operations that the SIMD kernels of quant/encode_row.cc do in each lane, one sub-block after
// the other.
//
// The search over (scale, minimum) follows ggml's make_qkx2_quants: try several steps, round, fit scale and minimum to
// the rounded levels by least squares, keep the best fit. Differences: it minimizes the plain (or importance-weighted)
// squared error, and it searches the integer scales once more with the fp16 scales that the file will have.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "ops/quant/encode_parts.h"
#include "ops/quant/quant_row.h"

namespace stablelm {
namespace {

float Nearest(float value) { return (value + kRounder) - kRounder; }
float Clamped(float value, float low, float high) {
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

// x ~ scale * level - minimum, both >= 0.
struct AffineFit {
  float scale = 0;
  float minimum = 0;
};

AffineFit SearchAffine(const float* x, const float* w, float top) {
  float low = 0, high = x[0];
  for (size_t t = 0; t < kSmallBlock; ++t) {
    low = x[t] < low ? x[t] : low;
    high = x[t] > high ? x[t] : high;
  }
  const float range = high - low;
  AffineFit best = {.scale = 0, .minimum = -low};
  if (!(range > kConstantRange)) return best;

  // Subtract `low` from the values: without the common offset the sums do not cancel.
  float sw = 0, sx = 0;
  for (size_t t = 0; t < kSmallBlock; ++t) {
    sw += w[t];
    sx += w[t] * (x[t] - low);
  }
  float most = 0;
  for (const float cut : kAffineOffsets) {
    for (const float candidate : kAffineCandidates) {
      const float steps = (top + candidate) / range;
      float sl = 0, sll = 0, slx = 0;
      for (size_t t = 0; t < kSmallBlock; ++t) {
        const float c = x[t] - low;
        const float scaled = c * steps;
        const float level = Nearest(Clamped(scaled - cut, 0, top));
        const float wl = w[t] * level;
        sl += wl;
        sll += wl * level;
        slx += wl * c;
      }
      // Least squares for c ~ scale * level + offset; the offset is at most -low, or the minimum would be negative.
      const float determinant = sw * sll - sl * sl;
      const bool solvable = determinant > 1e-5f * (sw * sll);
      const float free = solvable ? (sll * sx - sl * slx) / determinant : 0.0f;
      const float offset = free < -low ? free : -low;
      const float scale = (slx - offset * sl) / sll;
      // Reduction of the squared error, compared with levels 0 and offset 0.
      const float gain = scale * (2.0f * (slx - offset * sl) - scale * sll) + offset * (2.0f * sx - offset * sw);
      if (gain > most && scale > 0) {
        most = gain;
        best = {.scale = scale, .minimum = -low - offset};
      }
    }
  }
  return best;
}

// The best integers around the fit, for the block's fp16 scale and minimum.
struct AffineCodes {
  float scale = 0;    // 0..63
  float minimum = 0;  // 0..63
};

AffineCodes RefineAffine(const float* x, const float* w, float top, AffineFit fit, const AffineSuper& super) {
  const float per_scale = super.scale > 0 ? 1.0f / super.scale : 0.0f;
  const float per_minimum = super.minimum > 0 ? 1.0f / super.minimum : 0.0f;
  const float scale0 = Nearest(Clamped(fit.scale * per_scale, 0, 63));
  const float minimum0 = Nearest(Clamped(fit.minimum * per_minimum, 0, 63));
  float sw = 0, sx = 0;
  for (size_t t = 0; t < kSmallBlock; ++t) {
    sw += w[t];
    sx += w[t] * x[t];
  }
  AffineCodes best;
  float least = std::numeric_limits<float>::infinity();
  for (const float neighbour : kNeighbours) {
    const float code = Clamped(scale0 + neighbour, 0, 63);
    const float scale = super.scale * code;
    const float steps = scale > 0 ? 1.0f / scale : 0.0f;
    float minimum = minimum0;
    for (int round = 0; round < 2; ++round) {
      const float offset = super.minimum * minimum;
      float sl = 0, error = 0;
      for (size_t t = 0; t < kSmallBlock; ++t) {
        const float level = Nearest(Clamped((x[t] + offset) * steps, 0, top));
        const float e = (scale * level - offset) - x[t];
        sl += w[t] * level;
        error += w[t] * (e * e);
      }
      if (error < least) {
        least = error;
        best = {.scale = code, .minimum = minimum};
      }
      // The best minimum for these levels.
      minimum = Nearest(Clamped((scale * sl - sx) / sw * per_minimum, 0, 63));
    }
  }
  return best;
}

template <DType kType>
void EncodeAffineBlock(const float* x, const float* w, std::byte* out) {
  constexpr float kTop = kType == DType::kQ4_K ? 15 : 31;
  std::array<float, 8> scales, minimums;
  for (size_t j = 0; j < 8; ++j) {
    const AffineFit fit = SearchAffine(x + 32 * j, w + 32 * j, kTop);
    scales[j] = fit.scale;
    minimums[j] = fit.minimum;
  }
  const AffineSuper super = ChooseAffineSuper(scales, minimums, kTop);
  uint8_t scale_codes[8], minimum_codes[8];
  Levels levels;
  for (size_t j = 0; j < 8; ++j) {
    const AffineCodes codes = RefineAffine(x + 32 * j, w + 32 * j, kTop, {scales[j], minimums[j]}, super);
    const float scale = super.scale * codes.scale;
    const float offset = super.minimum * codes.minimum;
    const float steps = scale > 0 ? 1.0f / scale : 0.0f;
    for (size_t l = 0; l < 32; ++l) {
      levels[32 * j + l] = static_cast<uint8_t>(Nearest(Clamped((x[32 * j + l] + offset) * steps, 0, kTop)));
    }
    scale_codes[j] = static_cast<uint8_t>(codes.scale);
    minimum_codes[j] = static_cast<uint8_t>(codes.minimum);
  }
  if constexpr (kType == DType::kQ4_K) {
    PackQ4_K(super, scale_codes, minimum_codes, levels, out);
  } else {
    PackQ5_K(super, scale_codes, minimum_codes, levels, out);
  }
}

// x ~ scale * level with levels -lowest..lowest - 1; scales may be negative. The extreme value gets the lowest level.
float SearchSymmetric(const float* x, const float* w, size_t n, float lowest) {
  float low = x[0], high = x[0];
  for (size_t t = 0; t < n; ++t) {
    low = x[t] < low ? x[t] : low;
    high = x[t] > high ? x[t] : high;
  }
  const float extreme = high > -low ? high : low;
  if (!(std::abs(extreme) > kConstantRange)) return 0;
  float most = 0, best = 0;
  for (const float candidate : kSymmetricCandidates) {
    const float steps = -(lowest + candidate) / extreme;
    float sll = 0, slx = 0;
    for (size_t t = 0; t < n; ++t) {
      const float level = Nearest(Clamped(x[t] * steps, -lowest, lowest - 1));
      const float wl = w[t] * level;
      sll += wl * level;
      slx += wl * x[t];
    }
    const float scale = slx / sll;
    const float gain = scale * slx;
    if (gain > most) {
      most = gain;
      best = scale;
    }
  }
  return best;
}

// The best of the 8-bit integers around the fit, for the block's fp16 scale.
float RefineSymmetric(const float* x, const float* w, float fit, const SymmetricSuper& super) {
  const float per_scale = super.scale == 0 ? 0.0f : 1.0f / super.scale;
  const float scale0 = Nearest(Clamped(fit * per_scale, -128, 127));
  float best = 0, least = std::numeric_limits<float>::infinity();
  for (const float neighbour : kNeighbours) {
    const float code = Clamped(scale0 + neighbour, -128, 127);
    const float scale = super.scale * code;
    const float steps = scale == 0 ? 0.0f : 1.0f / scale;
    float error = 0;
    for (size_t t = 0; t < 16; ++t) {
      const float e = scale * Nearest(Clamped(x[t] * steps, -32, 31)) - x[t];
      error += w[t] * (e * e);
    }
    if (error < least) {
      least = error;
      best = code;
    }
  }
  return best;
}

void EncodeQ6_K(const float* x, const float* w, std::byte* out) {
  std::array<float, 16> scales;
  for (size_t j = 0; j < 16; ++j) scales[j] = SearchSymmetric(x + 16 * j, w + 16 * j, 16, 32);
  const SymmetricSuper super = ChooseSymmetricSuper(scales);
  int8_t codes[16];
  Levels levels;
  for (size_t j = 0; j < 16; ++j) {
    const float code = RefineSymmetric(x + 16 * j, w + 16 * j, scales[j], super);
    const float scale = super.scale * code;
    const float steps = scale == 0 ? 0.0f : 1.0f / scale;
    for (size_t l = 0; l < 16; ++l) {
      levels[16 * j + l] = static_cast<uint8_t>(Nearest(Clamped(x[16 * j + l] * steps, -32, 31)) + 32.0f);
    }
    codes[j] = static_cast<int8_t>(code);
  }
  PackQ6_K(super, codes, levels, out);
}

void EncodeQ4_0(const float* x, const float* w, std::byte* out) {
  const float fit = SearchSymmetric(x, w, kSmallBlock, 8);
  const F16 d = NearestScale(fit, std::abs(fit) * 8.0f);
  const float scale = ToFloat(d);
  const float steps = scale == 0 ? 0.0f : 1.0f / scale;
  uint8_t levels[kSmallBlock];
  for (size_t l = 0; l < kSmallBlock; ++l) {
    levels[l] = static_cast<uint8_t>(Nearest(Clamped(x[l] * steps, -8, 7)) + 8.0f);
  }
  PackQ4_0(d, levels, out);
}

void EncodeQ8_0(const float* x, std::byte* out) {
  float largest = 0;
  for (size_t j = 0; j < kSmallBlock; ++j) largest = std::max(largest, std::abs(x[j]));
  const float d = largest / 127.0f;
  // A subnormal d may have no finite reciprocal; the smallest fp16 is far above it.
  const float steps = d < 0x1p-126f ? 0.0f : 1.0f / d;
  BlockQ8_0 block;
  block.d = ToF16(d);
  for (size_t j = 0; j < kSmallBlock; ++j) block.q[j] = static_cast<int8_t>(std::round(x[j] * steps));
  StoreBlock(block, out, 0);
}

}  // namespace

void EncodeRowRef(DType type, std::span<const float> values, std::span<const float> weights, std::byte* out) {
  const auto length = static_cast<size_t>(BlockElements(type));
  STABLELM_CHECK(IsQuantized(type) && values.size() % length == 0);
  STABLELM_CHECK(weights.empty() || weights.size() == values.size());
  std::vector<float> ones;
  if (weights.empty()) {
    ones.assign(length, 1.0f);
  }
  for (size_t i = 0; i * length < values.size(); ++i) {
    const float* x = values.data() + i * length;
    const float* w = weights.empty() ? ones.data() : weights.data() + i * length;
    std::byte* block = out + i * BlockBytes(type);
    switch (type) {
      case DType::kQ8_0:
        EncodeQ8_0(x, block);
        break;
      case DType::kQ4_0:
        EncodeQ4_0(x, w, block);
        break;
      case DType::kQ4_K:
        EncodeAffineBlock<DType::kQ4_K>(x, w, block);
        break;
      case DType::kQ5_K:
        EncodeAffineBlock<DType::kQ5_K>(x, w, block);
        break;
      default:
        EncodeQ6_K(x, w, block);
        break;
    }
  }
}

}  // namespace stablelm
