#include "ops/layer_norm_backward.h"

#include <algorithm>

#include "base/error.h"
#include "ops/cpu/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/layer_norm_backward.cc"
#include <hwy/foreach_target.h>  // must come first

#include <hwy/highway.h>

#include "ops/cpu/layer_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stablelm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums over the columns of a row, over `n`.
struct RowMeans {
  float g, g_normed;  // of g and of g x^
};

// Adds kRows rows to the sums of their piece, d_weight [n] and d_bias [n], unless they are null. Several at a time, so
// that the sums are loaded and stored less often: one at a time takes a quarter longer.
template <size_t kRows>
void AddRows(const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy, const float* HWY_RESTRICT weight, size_t n,
             const RowMoments* moments, float* HWY_RESTRICT d_weight, float* HWY_RESTRICT d_bias, RowMeans* means) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  V sum_g[kRows], sum_g_normed[kRows];
  STABLELM_UNROLL
  for (size_t k = 0; k < kRows; ++k) sum_g[k] = sum_g_normed[k] = hn::Zero(d);
  for (size_t i = 0; i < whole; i += lanes) {
    const V weight_v = hn::LoadU(d, weight + i);
    V weight_sum = hn::Zero(d), bias_sum = hn::Zero(d);
    if (d_weight != nullptr) {
      weight_sum = hn::LoadU(d, d_weight + i);
      bias_sum = hn::LoadU(d, d_bias + i);
    }
    STABLELM_UNROLL
    for (size_t k = 0; k < kRows; ++k) {
      const V centred = hn::Sub(hn::LoadU(d, x + k * n + i), hn::Set(d, moments[k].mean));
      const V normed = hn::Mul(centred, hn::Set(d, moments[k].scale)), dy_v = hn::LoadU(d, dy + k * n + i);
      const V g = hn::Mul(dy_v, weight_v);
      sum_g[k] = hn::Add(sum_g[k], g);
      sum_g_normed[k] = hn::MulAdd(g, normed, sum_g_normed[k]);
      weight_sum = hn::MulAdd(dy_v, normed, weight_sum);
      bias_sum = hn::Add(bias_sum, dy_v);
    }
    if (d_weight != nullptr) {
      hn::StoreU(weight_sum, d, d_weight + i);
      hn::StoreU(bias_sum, d, d_bias + i);
    }
  }
  for (size_t k = 0; k < kRows; ++k) {
    double g_total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum_g[k])));
    double g_normed_total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum_g_normed[k])));
    for (size_t i = whole; i < n; ++i) {
      const float dy_i = dy[k * n + i];
      const float normed = (x[k * n + i] - moments[k].mean) * moments[k].scale, g = dy_i * weight[i];
      g_total += static_cast<double>(g);
      g_normed_total += static_cast<double>(g) * static_cast<double>(normed);
      if (d_weight != nullptr) {
        d_weight[i] += dy_i * normed;
        d_bias[i] += dy_i;
      }
    }
    means[k] = {static_cast<float>(g_total / static_cast<double>(n)),
                static_cast<float>(g_normed_total / static_cast<double>(n))};
  }
}

// dx = residual + r (g - mean(g) - x^ mean(g x^)); dx may be residual or dy.
void StoreRow(const float* x, const float* dy, const float* weight, const float* residual, size_t n, RowMoments moments,
              RowMeans means, float* dx) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const auto mean_v = hn::Set(d, moments.mean), scale_v = hn::Set(d, moments.scale);
  const auto g_mean = hn::Set(d, means.g), g_normed_mean = hn::Set(d, means.g_normed);
  for (size_t i = 0; i < whole; i += lanes) {
    const auto normed = hn::Mul(hn::Sub(hn::LoadU(d, x + i), mean_v), scale_v);
    const auto g = hn::Mul(hn::LoadU(d, dy + i), hn::LoadU(d, weight + i));
    const auto inner = hn::NegMulAdd(normed, g_normed_mean, hn::Sub(g, g_mean));
    const auto out = hn::Mul(scale_v, inner);
    hn::StoreU(residual != nullptr ? hn::Add(hn::LoadU(d, residual + i), out) : out, d, dx + i);
  }
  for (size_t i = whole; i < n; ++i) {
    const float normed = (x[i] - moments.mean) * moments.scale;
    const float out = moments.scale * (dy[i] * weight[i] - means.g - normed * means.g_normed);
    dx[i] = residual != nullptr ? residual[i] + out : out;
  }
}

// kRows rows from row r on.
template <size_t kRows>
HWY_INLINE void BackwardRowsAt(const LayerNormBackwardInput& in, size_t r, float* d_weight, float* d_bias) {
  const size_t n = in.width;
  RowMoments moments[kRows];
  RowMeans means[kRows];
  for (size_t k = 0; k < kRows; ++k) moments[k] = MomentsOf(in.x + (r + k) * n, n, in.norm.eps);  // as forward
  AddRows<kRows>(in.x + r * n, in.dy + r * n, in.norm.weight, n, moments, d_weight, d_bias, means);
  for (size_t k = 0; k < kRows; ++k) {
    const size_t at = (r + k) * n;
    StoreRow(in.x + at, in.dy + at, in.norm.weight, in.residual != nullptr ? in.residual + at : nullptr, n, moments[k],
             means[k], in.dx + at);
  }
}

// Rows [begin, end); d_weight and d_bias [width] are the sums of their piece, or null.
void BackwardRows(const LayerNormBackwardInput& in, size_t begin, size_t end, float* d_weight, float* d_bias) {
  size_t r = begin;
  for (; r + 4 <= end; r += 4) BackwardRowsAt<4>(in, r, d_weight, d_bias);
  for (; r < end; ++r) BackwardRowsAt<1>(in, r, d_weight, d_bias);
}

}  // namespace stablelm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stablelm {
namespace {
HWY_EXPORT(BackwardRows);

// sums [width] = or += the pieces' sums, `stride` apart, in order.
void AddPieces(const float* partial, size_t pieces, size_t stride, size_t begin, size_t end, bool add, float* sums) {
  if (!add) std::fill(sums + begin, sums + end, 0.0f);
  for (size_t piece = 0; piece < pieces; ++piece) {
    for (size_t c = begin; c < end; ++c) sums[c] += partial[piece * stride + c];
  }
}

}  // namespace

void LayerNormBackward(const LayerNormBackwardInput& in, ExecutionContext& exec) {
  if (in.d_weight == nullptr && in.d_bias == nullptr) {
    exec.pool().ForRanges(in.rows, 1, [&](size_t begin, size_t end) {
      HWY_DYNAMIC_DISPATCH(BackwardRows)(in, begin, end, nullptr, nullptr);
    });
    return;
  }
  STABLELM_CHECK(exec.prepared_capacity() >= LayerNormBackwardFloats(in.rows, in.width));
  const size_t pieces = (in.rows + kNormSumPiece - 1) / kNormSumPiece, stride = 2 * in.width;
  float* const partial = exec.prepared_rows();  // [pieces, 2, width]
  exec.pool().ForEach(pieces, [&](size_t piece, size_t) {
    float* const d_weight = partial + piece * stride;
    std::fill_n(d_weight, stride, 0.0f);
    const size_t begin = piece * kNormSumPiece, end = std::min(begin + kNormSumPiece, in.rows);
    HWY_DYNAMIC_DISPATCH(BackwardRows)(in, begin, end, d_weight, d_weight + in.width);
  });
  exec.pool().ForRanges(in.width, 64, [&](size_t begin, size_t end) {
    if (in.d_weight) AddPieces(partial, pieces, stride, begin, end, in.add, in.d_weight);
    if (in.d_bias) AddPieces(partial + in.width, pieces, stride, begin, end, in.add, in.d_bias);
  });
}

size_t LayerNormBackwardFloats(size_t rows, size_t width) {
  const size_t pieces = (rows + kNormSumPiece - 1) / kNormSumPiece;
  return pieces * 2 * width;
}

}  // namespace stablelm
#endif  // HWY_ONCE
