// Compares the predictions of two models token by token.
//
// Kullback-Leibler divergence of q (the other) from p (the source), in nats:
//   KL(p || q) = sum p_i (ln p_i - ln q_i) = sum f_i,   f_i = q_i - p_i - p_i r_i,   r_i = ln q_i - ln p_i
//   The two sums are equal because p and q both sum to 1. In the second sum no term is negative and a normalisation
//   error has only a second-order effect, so the divergence is accurate even for nearly equal predictions: for small
//   |r_i|, f_i = p_i (r_i^2 / 2! + r_i^3 / 3! + ...). All in fp64.
#pragma once

#include <cstdint>
#include <span>

namespace stablelm {

// The two predictions of one next token.
struct TokenDivergence {
  double kl = 0;               // KL(source || other), >= 0
  double source_log_prob = 0;  // ln p(target)
  double log_prob = 0;         // ln q(target)
  bool same_first = false;     // both have the same most likely token, the lowest id in a tie
};

// Logits [V] of both models, finite; `target` is the actual next token, below V.
TokenDivergence CompareLogits(std::span<const float> source, std::span<const float> other, int32_t target);
// Reference: the definition, sum p_i (ln p_i - ln q_i), in long double.
TokenDivergence CompareLogitsRef(std::span<const float> source, std::span<const float> other, int32_t target);

}  // namespace stablelm
