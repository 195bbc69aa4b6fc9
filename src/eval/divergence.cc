#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace stablelm {
namespace {

// Kahan summation: the error does not grow with the number of terms. 50,000 plain additions can lose four digits.
class Sum {
 public:
  void Add(double value) {
    const double term = value - carry_, sum = sum_ + term;
    carry_ = (sum - sum_) - term;
    sum_ = sum;
  }
  double value() const { return sum_; }

 private:
  double sum_ = 0, carry_ = 0;
};

// ln p_i = (x_i - max) - log_sum: both are small, whereas x_i - LogSumExp loses digits with large logits.
struct LogSoftmax {
  explicit LogSoftmax(std::span<const float> x) : top(std::ranges::max_element(x) - x.begin()) {
    max = static_cast<double>(x[static_cast<size_t>(top)]);
    Sum sum;
    for (const float value : x) sum.Add(std::exp(static_cast<double>(value) - max));
    log_sum = std::log(sum.value());
    scale = 1 / sum.value();
  }
  double Log(float value) const { return static_cast<double>(value) - max - log_sum; }
  double Probability(float value) const { return std::exp(static_cast<double>(value) - max) * scale; }

  std::ptrdiff_t top = 0;  // index of the largest, the first in a tie
  double max = 0;
  double log_sum = 0;  // ln sum exp(x_i - max)
  double scale = 0;
};

// e^r - 1 - r for |r| <= 1/64. The first omitted term is below 2^-54 of the first term.
double SmallGap(double r) {
  constexpr int kTerms = 8;
  double sum = 0;
  for (int k = kTerms + 1; k > 2; --k) sum = (sum + 1) * r / k;
  return (sum + 1) * r * r / 2;
}

void CheckRows(std::span<const float> source, std::span<const float> other, int32_t target) {
  STABLELM_CHECK(!source.empty() && source.size() == other.size());
  STABLELM_CHECK(target >= 0 && static_cast<size_t>(target) < source.size());
}

}  // namespace

TokenDivergence CompareLogits(std::span<const float> source, std::span<const float> other, int32_t target) {
  CheckRows(source, other, target);
  const LogSoftmax p(source), q(other);
  const double shift = p.log_sum - q.log_sum;
  Sum kl;
  for (size_t i = 0; i < source.size(); ++i) {
    const double r = (static_cast<double>(other[i]) - q.max) - (static_cast<double>(source[i]) - p.max) + shift;
    const double probability = p.Probability(source[i]);
    kl.Add(std::abs(r) <= 1.0 / 64 ? probability * SmallGap(r)
                                   : std::max(0.0, q.Probability(other[i]) - probability * (1 + r)));
  }
  const auto at = static_cast<size_t>(target);
  return {.kl = kl.value(),
          .source_log_prob = p.Log(source[at]),
          .log_prob = q.Log(other[at]),
          .same_first = p.top == q.top};
}

TokenDivergence CompareLogitsRef(std::span<const float> source, std::span<const float> other, int32_t target) {
  CheckRows(source, other, target);
  const auto log_sum_exp = [](std::span<const float> x) {
    long double sum = 0;
    for (const float value : x) sum += std::exp(static_cast<long double>(value));
    return std::log(sum);
  };
  const long double source_sum = log_sum_exp(source), other_sum = log_sum_exp(other);
  long double kl = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    const long double p = source[i] - source_sum, q = other[i] - other_sum;
    kl += std::exp(p) * (p - q);
  }
  const auto at = static_cast<size_t>(target);
  return {.kl = static_cast<double>(kl),
          .source_log_prob = static_cast<double>(source[at] - source_sum),
          .log_prob = static_cast<double>(other[at] - other_sum),
          .same_first =
              std::ranges::max_element(source) - source.begin() == std::ranges::max_element(other) - other.begin()};
}

}  // namespace stablelm
