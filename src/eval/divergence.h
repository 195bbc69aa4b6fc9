// How far the predictions of one model are from those of another, token by token.
//
// Kullback-Leibler divergence of q (the other) from p (the source), in nats:
//   KL(p || q) = sum p_i (ln p_i - ln q_i) = sum f_i,   f_i = q_i - p_i - p_i r_i,   r_i = ln q_i - ln p_i
// The two sums are equal because p and q both add up to 1. In the second one no term is negative, and an error in the
// normalisation counts to the second order only, so that predictions which hardly differ still give a divergence with
// correct digits: where |r_i| is small, f_i = p_i (r_i^2 / 2! + r_i^3 / 3! + ...). Everything in fp64.
#pragma once

#include <cstdint>
#include <span>

namespace stablelm {

// The predictions of one next token.
struct TokenDivergence {
  double kl = 0;               // KL(source || other), >= 0
  double source_log_prob = 0;  // ln p(target)
  double log_prob = 0;         // ln q(target)
  bool same_first = false;     // both give the largest logit to the same id, the lowest one among equals
};

// Logits [V] of both models, finite; `target` is the token that came, below V.
TokenDivergence CompareLogits(std::span<const float> source, std::span<const float> other, int32_t target);
// The plain definition, in long double: sum p_i (ln p_i - ln q_i).
TokenDivergence CompareLogitsRef(std::span<const float> source, std::span<const float> other, int32_t target);

}  // namespace stablelm
