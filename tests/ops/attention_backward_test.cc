#include "ops/attention_backward.h"

#include <algorithm>
#include <array>

#include "ops/op_testing.h"

namespace stablelm {
namespace {

struct Shape {
  int64_t heads, dims, rotary_dims;
  std::vector<AttentionSequence> documents;
};

// Documents of these lengths, one after another.
std::vector<AttentionSequence> Documents(std::initializer_list<int64_t> lengths) {
  std::vector<AttentionSequence> documents;
  int64_t row = 0;
  for (const int64_t n : lengths) {
    documents.push_back({.row_begin = row, .rows = n, .start = 0, .pages = {}});
    row += n;
  }
  return documents;
}

// The attention of packed documents in fp64, from the output of the QKV linear: rotated queries and keys, output and
// log-sum-exp. Rows in no document have zeros.
struct Forward {
  std::vector<double> qkv, out, log_sum_exp;
};

struct BackwardScene {
  BackwardScene(const Shape& shape, uint64_t seed, bool stacked = false)
      : heads(shape.heads),
        dims(shape.dims),
        layout(stacked ? QkvLayout::Stacked(heads, dims) : QkvLayout::PerHead(dims)),
        documents(shape.documents),
        rotary(shape.rotary_dims, 10000, 1024) {
    for (const AttentionSequence& s : documents) rows = std::max(rows, s.row_begin + s.rows);
    const auto as_double = [](const std::vector<float>& x) { return std::vector<double>(x.begin(), x.end()); };
    linear = as_double(RandomNormals(static_cast<size_t>(rows * 3 * heads * dims), seed));
    d_out = as_double(RandomNormals(static_cast<size_t>(rows * heads * dims), seed + 1));
  }

  // Index of dimension i of a head's query (0), key (1) or value (2).
  size_t At(int64_t row, int64_t head, int64_t part, int64_t i) const {
    return static_cast<size_t>(row * 3 * heads * dims + layout.Offset(part, head) + i);
  }
  size_t OutAt(int64_t row, int64_t head, int64_t i) const {
    return static_cast<size_t>((row * heads + head) * dims + i);
  }

  Forward Attention() const {
    Forward to = {.qkv = linear,
                  .out = std::vector<double>(d_out.size()),
                  .log_sum_exp = std::vector<double>(static_cast<size_t>(rows * heads))};
    for (const AttentionSequence& s : documents) {
      for (int64_t head = 0; head < heads; ++head) {
        for (int64_t r = 0; r < s.rows; ++r) AttendRow(s, head, r, to);
      }
    }
    return to;
  }

  template <typename T>
  AttentionBackwardArrays<T> Input(const T* qkv, const T* out, const T* lse, const T* gradient, T* d_qkv) const {
    return {.qkv = qkv,
            .qkv_layout = layout,
            .out = out,
            .log_sum_exp = lse,
            .d_out = gradient,
            .d_qkv = d_qkv,
            .n_heads = heads,
            .head_dim = dims,
            .sequences = documents,
            .rotary = &rotary};
  }

  int64_t heads, dims, rows = 0;
  QkvLayout layout;
  std::vector<AttentionSequence> documents;
  RotaryTable rotary;
  std::vector<double> linear, d_out;  // [rows, 3 * H * D], [rows, H * D]

 private:
  void AttendRow(const AttentionSequence& s, int64_t head, int64_t r, Forward& to) const {
    const int64_t row = s.row_begin + r, half = rotary.rotary_dims() / 2;
    for (const int64_t part : {0, 1}) {
      for (int64_t i = 0; i < half; ++i) {
        const double cos = static_cast<double>(rotary.Cos(r)[i]), sin = static_cast<double>(rotary.Sin(r)[i]);
        const double a = linear[At(row, head, part, i)], b = linear[At(row, head, part, i + half)];
        to.qkv[At(row, head, part, i)] = a * cos - b * sin;
        to.qkv[At(row, head, part, i + half)] = b * cos + a * sin;
      }
    }
    std::vector<double> p;
    double sum = 0, max = -INFINITY;
    for (int64_t j = s.row_begin; j <= row; ++j) {
      double dot = 0;
      for (int64_t i = 0; i < dims; ++i) dot += to.qkv[At(row, head, 0, i)] * to.qkv[At(j, head, 1, i)];
      p.push_back(dot / std::sqrt(static_cast<double>(dims)));
      max = std::max(max, p.back());
    }
    for (const double score : p) sum += std::exp(score - max);
    const double lse = max + std::log(sum);
    to.log_sum_exp[static_cast<size_t>(row * heads + head)] = lse;
    for (int64_t j = 0; j <= r; ++j) {
      const double weight = std::exp(p[static_cast<size_t>(j)] - lse);
      for (int64_t i = 0; i < dims; ++i) {
        to.out[OutAt(row, head, i)] += weight * to.qkv[At(s.row_begin + j, head, 2, i)];
      }
    }
  }
};

// The plain loop in double against central differences of sum(out * d_out).
TEST(AttentionBackward, PlainLoopIsTheDerivative) {
  for (const bool stacked : {false, true}) {
    SCOPED_TRACE(stacked);
    BackwardScene scene({.heads = 2, .dims = 5, .rotary_dims = 4, .documents = Documents({7, 1, 4})}, 31, stacked);
    const Forward forward = scene.Attention();
    std::vector<double> got(scene.linear.size());
    AttentionBackwardRef(scene.Input(forward.qkv.data(), forward.out.data(), forward.log_sum_exp.data(),
                                     scene.d_out.data(), got.data()));
    const auto loss = [&] {
      const Forward moved = scene.Attention();
      double sum = 0;
      for (size_t i = 0; i < moved.out.size(); ++i) sum += moved.out[i] * scene.d_out[i];
      return sum;
    };
    const double largest = std::abs(
        *std::max_element(got.begin(), got.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
    // A difference has errors of order h^2 = 1e-10 and 1e-16 / h = 1e-11, times magnitudes of order one.
    const double h = 1e-5;
    for (size_t i = 0; i < got.size(); ++i) {
      const double x = scene.linear[i];
      scene.linear[i] = x + h;
      const double up = loss();
      scene.linear[i] = x - h;
      const double down = loss();
      scene.linear[i] = x;
      const double want = (up - down) / (2 * h);
      ASSERT_TRUE(Near(got[i], want, 1e-6 * std::max(std::abs(want), 1e-3 * largest)))
          << i << ": " << got[i] << " " << want;
    }
  }
}

// A scene in fp32, as the training step has it, with every array misaligned by one float.
struct FloatBody {
  explicit FloatBody(const BackwardScene& scene) {
    const Forward forward = scene.Attention();
    const auto shifted = [](const std::vector<double>& from) {
      std::vector<float> to = {NAN};
      for (const double x : from) to.push_back(static_cast<float>(x));
      return to;
    };
    qkv = shifted(forward.qkv), out = shifted(forward.out), log_sum_exp = shifted(forward.log_sum_exp);
    d_out = shifted(scene.d_out);
  }
  AttentionBackwardInput Input(const BackwardScene& scene, float* d_qkv) const {
    return scene.Input(qkv.data() + 1, out.data() + 1, log_sum_exp.data() + 1, d_out.data() + 1, d_qkv);
  }
  std::vector<float> qkv, out, log_sum_exp, d_out;
};

// Bounds of the error of every gradient, as sums over the terms of the plain loop's sums; see below.
std::vector<double> Bounds(const BackwardScene& scene, const FloatBody& from) {
  std::vector<double> bound(scene.linear.size());
  const int64_t dims = scene.dims, half = scene.rotary.rotary_dims() / 2;
  const double d = static_cast<double>(dims), scale = 1 / std::sqrt(d);
  const float *qkv = from.qkv.data() + 1, *out = from.out.data() + 1, *d_out = from.d_out.data() + 1;
  for (const AttentionSequence& s : scene.documents) {
    const double n = static_cast<double>(s.rows);
    for (int64_t head = 0; head < scene.heads; ++head) {
      for (int64_t r = 0; r < s.rows; ++r) {
        const int64_t row = s.row_begin + r;
        const double lse = static_cast<double>(from.log_sum_exp[static_cast<size_t>(1 + row * scene.heads + head)]);
        double delta_size = 0, delta = 0;
        for (int64_t i = 0; i < dims; ++i) {
          const double product = static_cast<double>(d_out[scene.OutAt(row, head, i)]) *
                                 static_cast<double>(out[scene.OutAt(row, head, i)]);
          delta += product;
          delta_size += std::abs(product);
        }
        for (int64_t j = 0; j <= r; ++j) {
          double score = 0, score_size = 0, d_p = 0, d_p_size = 0;
          for (int64_t i = 0; i < dims; ++i) {
            const double q = static_cast<double>(qkv[scene.At(row, head, 0, i)]);
            const double k = static_cast<double>(qkv[scene.At(s.row_begin + j, head, 1, i)]);
            const double v = static_cast<double>(qkv[scene.At(s.row_begin + j, head, 2, i)]);
            const double g = static_cast<double>(d_out[scene.OutAt(row, head, i)]);
            score += scale * q * k;
            score_size += scale * std::abs(q * k);
            d_p += g * v;
            d_p_size += std::abs(g * v);
          }
          // Relative error of P: a chain of D products (2 D + 3 roundings, the scale's included), minus lse, and Exp,
          // which is within 4 roundings.
          const double p = std::exp(score - lse);
          const double p_error = p * kEps * (score_size * (2 * d + 3) + 2 * std::abs(score) + 2 * std::abs(lse) + 4);
          const double difference = std::abs(d_p - delta);
          const double ds = scale * p * difference;
          // Two chains of D products, their difference, and two products with P and the scale.
          const double ds_error =
              scale * (p_error * difference + p * kEps * (d_p_size + delta_size) * (2 * d + 2)) + 4 * kEps * ds;
          // A sum of n products: 2 n roundings.
          for (int64_t i = 0; i < dims; ++i) {
            const auto size = [](float x) { return std::abs(static_cast<double>(x)); };
            const double g = size(d_out[scene.OutAt(row, head, i)]);
            bound[scene.At(s.row_begin + j, head, 2, i)] += (p_error + 2 * n * kEps * p) * g;
            bound[scene.At(row, head, 0, i)] +=
                (ds_error + 2 * n * kEps * ds) * size(qkv[scene.At(s.row_begin + j, head, 1, i)]);
            bound[scene.At(s.row_begin + j, head, 1, i)] +=
                (ds_error + 2 * n * kEps * ds) * size(qkv[scene.At(row, head, 0, i)]);
          }
        }
      }
      // The rotation adds the errors of a pair, and two roundings of each of its values, which are below the 2 n
      // roundings above.
      for (int64_t r = 0; r < s.rows; ++r) {
        for (const int64_t part : {0, 1}) {
          for (int64_t i = 0; i < half; ++i) {
            double& a = bound[scene.At(s.row_begin + r, head, part, i)];
            double& b = bound[scene.At(s.row_begin + r, head, part, i + half)];
            a = b = 2 * (a + b);
          }
        }
      }
    }
  }
  return bound;
}

TEST(AttentionBackward, FastBodyHoldsToTheReference) {
  const Shape shapes[] = {
      {.heads = 1, .dims = 64, .rotary_dims = 16, .documents = Documents({1, 260, 47})},
      {.heads = 1, .dims = 128, .rotary_dims = 32, .documents = Documents({2, 130})},
      {.heads = 3, .dims = 20, .rotary_dims = 6, .documents = Documents({1, 5, 16, 17, 60})},
      {.heads = 2, .dims = 2, .rotary_dims = 2, .documents = Documents({9, 3})},
      {.heads = 1, .dims = 33, .rotary_dims = 8, .documents = Documents({65})},
      {.heads = 1, .dims = 256, .rotary_dims = 64, .documents = Documents({70})},
      {.heads = 1, .dims = 300, .rotary_dims = 64, .documents = Documents({70, 6})},
      {.heads = 1, .dims = kMaxHeadDim, .rotary_dims = 64, .documents = Documents({3})},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.dims);
    const BackwardScene scene(shape, 32);
    const FloatBody from(scene);
    std::vector<float> want(scene.linear.size());
    AttentionBackwardRef(from.Input(scene, want.data()));
    const std::vector<double> bound = Bounds(scene, from);
    ForEachSimdTarget([&] {
      ThreadPool pool(2);
      ExecutionContext exec(pool, 1, 1);
      GuardedFloats got(want.size() + 1);
      std::fill(got.span().begin(), got.span().end(), NAN);
      AttentionBackward(from.Input(scene, got.data() + 1), exec);
      got.Check();
      EXPECT_TRUE(std::isnan(got.data()[0]));
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_TRUE(Near(got.data()[1 + i], want[i], bound[i] + kEps * std::abs(static_cast<double>(want[i]))))
            << i << ": " << got.data()[1 + i] << " " << want[i] << " +- " << bound[i];
      }
    });
  }
}

// A document has the same bits packed among others, alone, in the other order of rows, and with any number of threads.
TEST(AttentionBackward, PackingRowsAndThreadsDoNotChangeBits) {
  const int64_t heads = 3, dims = 20;
  std::vector<AttentionSequence> documents = Documents({37, 1, 300, 48, 129});
  const int64_t gap = documents[3].row_begin;  // a row of no document
  ++documents[3].row_begin;
  ++documents[4].row_begin;
  const BackwardScene scene({.heads = heads, .dims = dims, .rotary_dims = 6, .documents = documents}, 33);
  const QkvLayout stacked_layout = QkvLayout::Stacked(heads, dims);
  // Rows in the layout `from`, in the layout `to`.
  const auto reordered = [&](std::span<const float> rows, const QkvLayout& from, const QkvLayout& to) {
    std::vector<float> out(rows.size());
    for (size_t row = 0; row < rows.size(); row += static_cast<size_t>(3 * heads * dims)) {
      for (int64_t i = 0; i < 3 * heads; ++i) {
        std::copy_n(rows.data() + row + from.Offset(i % 3, i / 3), dims, out.data() + row + to.Offset(i % 3, i / 3));
      }
    }
    return out;
  };
  const FloatBody floats(scene);
  ForEachSimdTarget([&] {
    std::vector<float> want(scene.linear.size(), 7.0f);
    for (const size_t threads : {1u, 2u, 3u, 4u}) {
      ThreadPool pool(threads);
      ExecutionContext exec(pool, 1, 1);
      std::vector<float> got(want.size(), 7.0f);
      AttentionBackward(floats.Input(scene, threads == 1 ? want.data() : got.data()), exec);
      if (threads > 1) {
        ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << threads << " threads";
      }
    }
    const float* const untouched = want.data() + gap * 3 * heads * dims;
    EXPECT_TRUE(std::all_of(untouched, untouched + 3 * heads * dims, [](float x) { return x == 7; }));
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    for (const AttentionSequence& s : scene.documents) {
      std::vector<float> alone(static_cast<size_t>(s.rows * 3 * heads * dims)), stacked(alone.size());
      const AttentionSequence document = {.row_begin = 0, .rows = s.rows, .start = 0, .pages = {}};
      AttentionBackwardInput in = floats.Input(scene, alone.data());
      in.sequences = {&document, 1};
      in.qkv += s.row_begin * 3 * heads * dims;
      in.out += s.row_begin * heads * dims;
      in.d_out += s.row_begin * heads * dims;
      in.log_sum_exp += s.row_begin * heads;
      AttentionBackward(in, exec);
      ASSERT_EQ(std::memcmp(alone.data(), want.data() + s.row_begin * 3 * heads * dims, alone.size() * sizeof(float)),
                0)
          << s.rows << " rows";
      const std::vector<float> qkv = reordered({in.qkv, alone.size()}, scene.layout, stacked_layout);
      in.qkv = qkv.data();
      in.qkv_layout = stacked_layout;
      in.d_qkv = stacked.data();
      AttentionBackward(in, exec);
      ASSERT_EQ(reordered(stacked, stacked_layout, scene.layout), alone) << s.rows << " rows";
    }
  });
}

// NaN in the gradient of one row reaches the gradients of its query and of the keys that it sees, NaN in a query those
// of the values that it sees; no other document has any.
TEST(AttentionBackward, NaNIsNotHidden) {
  const BackwardScene scene({.heads = 1, .dims = 20, .rotary_dims = 6, .documents = Documents({40, 60, 30})}, 34);
  const int64_t first = 40, bad = first + 50, end = first + 60;
  FloatBody bad_gradient(scene), bad_query(scene);
  bad_gradient.d_out[1 + scene.OutAt(bad, 0, 17)] = NAN;
  bad_query.qkv[1 + scene.At(bad, 0, 0, 17)] = NAN;
  ForEachSimdTarget([&] {
    ThreadPool pool(1);
    ExecutionContext exec(pool, 1, 1);
    std::vector<float> got(scene.linear.size());
    const auto has_nan = [&](int64_t row, int64_t part) {
      const float* x = &got[scene.At(row, 0, part, 0)];
      return std::any_of(x, x + scene.dims, [](float value) { return std::isnan(value); });
    };
    AttentionBackward(bad_gradient.Input(scene, got.data()), exec);
    for (int64_t r = 0; r < scene.rows; ++r) {
      EXPECT_EQ(has_nan(r, 0), r == bad) << r;
      EXPECT_EQ(has_nan(r, 1), first <= r && r <= bad) << r;
      EXPECT_FALSE(has_nan(r, 2) && (r < first || r >= end)) << r;
    }
    AttentionBackward(bad_query.Input(scene, got.data()), exec);
    for (int64_t r = 0; r < scene.rows; ++r) {
      EXPECT_EQ(has_nan(r, 0), r == bad) << r;
      EXPECT_EQ(has_nan(r, 2), first <= r && r <= bad) << r;
      EXPECT_FALSE(has_nan(r, 1) && (r < first || r >= end)) << r;
    }
  });
}

}  // namespace
}  // namespace stablelm
