#include "ops/attention_backward.h"

#include <cmath>
#include <vector>

namespace stablelm {
namespace {

using Vector = std::vector<double>;

template <typename T>
Vector Read(const T* from, int64_t n) {
  return Vector(from, from + n);
}

double Dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void Add(double factor, const Vector& from, double* to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] += factor * from[i];
}

// Forward: a' = a cos - b sin, b' = b cos + a sin.
void RotateBack(const RotaryTable& table, int64_t position, double* u) {
  const int64_t half = table.rotary_dims() / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double cos = static_cast<double>(table.Cos(position)[i]), sin = static_cast<double>(table.Sin(position)[i]);
    const double a = u[i], b = u[i + half];
    u[i] = a * cos + b * sin;
    u[i + half] = b * cos - a * sin;
  }
}

// One head of one document.
template <typename T>
void BackwardOfHead(const AttentionBackwardArrays<T>& in, const AttentionSequence& s, int64_t head) {
  const int64_t dims = in.head_dim, width = in.n_heads * dims;
  const double scale = 1 / std::sqrt(static_cast<double>(dims));
  const auto part = [&](int64_t r, int64_t index) {
    return Read(in.qkv + (s.row_begin + r) * 3 * width + in.qkv_layout.Offset(index, head), dims);
  };
  const size_t all = static_cast<size_t>(s.rows * dims);
  Vector d_q(all), d_k(all), d_v(all);  // [rows, D]
  for (int64_t r = 0; r < s.rows; ++r) {
    const int64_t row = s.row_begin + r;
    const Vector q = part(r, 0);
    const Vector out = Read(in.out + row * width + head * dims, dims);
    const Vector d_out = Read(in.d_out + row * width + head * dims, dims);
    const double lse = static_cast<double>(in.log_sum_exp[row * in.n_heads + head]);
    const double delta = Dot(d_out, out);
    for (int64_t j = 0; j <= r; ++j) {
      const Vector k = part(j, 1), v = part(j, 2);
      const double p = std::exp(scale * Dot(q, k) - lse);  // out += p v
      const double d_score = scale * p * (Dot(d_out, v) - delta);
      Add(p, d_out, d_v.data() + j * dims);
      Add(d_score, q, d_k.data() + j * dims);
      Add(d_score, k, d_q.data() + r * dims);
    }
  }
  for (int64_t r = 0; r < s.rows; ++r) {
    RotateBack(*in.rotary, r, d_q.data() + r * dims);
    RotateBack(*in.rotary, r, d_k.data() + r * dims);
    T* const to = in.d_qkv + (s.row_begin + r) * 3 * width;
    for (int64_t i = 0; i < dims; ++i) {
      to[in.qkv_layout.Offset(0, head) + i] = static_cast<T>(d_q[static_cast<size_t>(r * dims + i)]);
      to[in.qkv_layout.Offset(1, head) + i] = static_cast<T>(d_k[static_cast<size_t>(r * dims + i)]);
      to[in.qkv_layout.Offset(2, head) + i] = static_cast<T>(d_v[static_cast<size_t>(r * dims + i)]);
    }
  }
}

template <typename T>
void BackwardOfAll(const AttentionBackwardArrays<T>& in) {
  for (const AttentionSequence& s : in.sequences) {
    for (int64_t head = 0; head < in.n_heads; ++head) BackwardOfHead(in, s, head);
  }
}

}  // namespace

void AttentionBackwardRef(const AttentionBackwardInput& in) { BackwardOfAll(in); }
void AttentionBackwardRef(const AttentionBackwardArrays<double>& in) { BackwardOfAll(in); }

}  // namespace stablelm
