#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stablelm {

void AttendRef(const AttentionInput& in) {
  const int64_t heads = in.cache.layout.n_heads, dims = in.cache.layout.head_dim;
  const size_t width = static_cast<size_t>(dims);
  for (const AttentionSequence& s : in.sequences) {
    for (int64_t h = 0; h < heads; ++h) {
      // Keys and values of the tokens so far, [positions, D].
      const int64_t positions = s.start + s.rows;
      std::vector<float> keys(static_cast<size_t>(positions) * width), values(keys.size());
      for (int64_t j = 0; j < positions; ++j) {
        const std::byte* page =
            in.cache.pages + static_cast<size_t>(s.pages[static_cast<size_t>(j / kKvPageTokens)]) * in.cache.stride;
        ReadKeyRef(in.cache.layout, page, h, j % kKvPageTokens, keys.data() + j * dims);
        ReadValueRef(in.cache.layout, page, h, j % kKvPageTokens, values.data() + j * dims);
      }
      for (int64_t r = 0; r < s.rows; ++r) {
        const int64_t seen = s.start + r + 1;
        const float* q = in.qkv + (s.row_begin + r) * heads * 3 * dims + in.qkv_layout.Offset(0, h);
        std::vector<double> p(static_cast<size_t>(seen)), out(width);
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double dot = 0;
          for (int64_t i = 0; i < dims; ++i) {
            dot += static_cast<double>(q[i]) * static_cast<double>(keys[static_cast<size_t>(j * dims + i)]);
          }
          p[static_cast<size_t>(j)] = dot / std::sqrt(static_cast<double>(dims));
          max = std::max(max, p[static_cast<size_t>(j)]);
        }
        for (double& value : p) sum += value = std::exp(value - max);
        if (in.log_sum_exp != nullptr) {
          in.log_sum_exp[(s.row_begin + r) * heads + h] = static_cast<float>(max + std::log(sum));
        }
        for (int64_t j = 0; j < seen; ++j) {
          for (int64_t i = 0; i < dims; ++i) {
            out[static_cast<size_t>(i)] +=
                p[static_cast<size_t>(j)] / sum * static_cast<double>(values[static_cast<size_t>(j * dims + i)]);
          }
        }
        for (int64_t i = 0; i < dims; ++i) {
          in.out[((s.row_begin + r) * heads + h) * dims + i] = static_cast<float>(out[static_cast<size_t>(i)]);
        }
      }
    }
  }
}

}  // namespace stablelm
