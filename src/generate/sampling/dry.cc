#include "generate/sampling/dry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "generate/sampling/logits_processors.h"

namespace stablelm {
namespace {

// z[i] = length of the longest common prefix of x and x[i ..]; z[0] is not used.
void ZFunction(std::span<const int32_t> x, std::vector<int32_t>& z) {
  const size_t n = x.size();
  z.resize(n);
  std::fill(z.begin(), z.end(), 0);
  size_t left = 0, right = 0;  // the match that ends last
  for (size_t i = 1; i < n; ++i) {
    size_t k = i < right ? std::min(right - i, static_cast<size_t>(z[i - left])) : 0;
    while (i + k < n && x[k] == x[i + k]) ++k;
    z[i] = static_cast<int32_t>(k);
    if (i + k > right) {
      left = i;
      right = i + k;
    }
  }
}

std::string_view TextOf(const Tokenizer& tokenizer, int32_t id) {
  return id >= 0 && id < tokenizer.size() ? tokenizer.TokenBytes(id) : std::string_view();
}

bool HoldsBreaker(std::string_view text, std::span<const std::string> breakers) {
  return std::any_of(breakers.begin(), breakers.end(),
                     [&](const std::string& b) { return text.find(b) != std::string_view::npos; });
}

}  // namespace

size_t IdsAfterBreaker(std::span<const int32_t> ids, size_t most, const Tokenizer& tokenizer,
                       std::span<const std::string> breakers, std::string& text) {
  size_t longest = 0;
  for (const std::string& b : breakers) longest = std::max(longest, b.size());
  if (longest == 0) return most;
  // Include text before the last `most` ids, for breakers that begin there.
  size_t first = ids.size() - std::min(most, ids.size()), before = 0;
  while (first > 0 && before + 1 < longest) before += TextOf(tokenizer, ids[--first]).size();
  text.clear();
  for (const int32_t id : ids.subspan(first)) text += TextOf(tokenizer, id);
  size_t end = 0;  // offset after the breaker that ends last
  for (const std::string& b : breakers) {
    const size_t at = text.rfind(b);
    if (at != std::string::npos) end = std::max(end, at + b.size());
  }
  if (end == 0) return most;
  size_t after = 0, bytes = text.size();
  while (after < ids.size()) {
    bytes -= TextOf(tokenizer, ids[ids.size() - 1 - after]).size();
    if (bytes < end) break;
    ++after;
  }
  return std::min(after, most);
}

void Dry::Apply(std::span<float> scores, std::span<const int32_t> window, const DryOptions& options,
                const Tokenizer* tokenizer, std::span<const std::string> breakers) {
  if (window.size() < 2) return;
  reversed_.resize(window.size());  // grows geometrically; assign would not
  std::reverse_copy(window.begin(), window.end(), reversed_.begin());
  ZFunction(reversed_, match_);
  const int64_t longest = *std::max_element(match_.begin() + 1, match_.end());
  if (longest < options.allowed_length) return;
  int64_t limit = longest;
  if (tokenizer) {
    limit = static_cast<int64_t>(IdsAfterBreaker(window, static_cast<size_t>(longest), *tokenizer, breakers, text_));
    if (limit < options.allowed_length) return;
  }
  // reversed_[i - 1] is the id that followed an earlier match of match_[i] ids.
  for (size_t i = 1; i < reversed_.size(); ++i) {
    const int64_t n = std::min<int64_t>(match_[i], limit);
    const int32_t id = reversed_[i - 1];
    if (n < options.allowed_length || id < 0 || static_cast<size_t>(id) >= longest_.size()) continue;
    int32_t& known = longest_[static_cast<size_t>(id)];
    known = std::max(known, static_cast<int32_t>(n));
  }
  // Largest exponent for which base ^ exponent is a finite float.
  const double most = options.base > 1 ? std::log(std::numeric_limits<float>::max()) / std::log(options.base)
                                       : std::numeric_limits<double>::max();
  for (size_t i = 1; i < reversed_.size(); ++i) {
    const int32_t id = reversed_[i - 1];
    if (id < 0 || static_cast<size_t>(id) >= longest_.size() || static_cast<size_t>(id) >= scores.size()) continue;
    int32_t& n = longest_[static_cast<size_t>(id)];
    if (n == 0) continue;
    float& s = scores[static_cast<size_t>(id)];
    if (s != kRemoved && !(tokenizer && HoldsBreaker(TextOf(*tokenizer, id), breakers))) {
      const double exponent = std::min(static_cast<double>(n - options.allowed_length), most);
      s = AsScore(static_cast<double>(s) - options.multiplier * std::pow(options.base, exponent));
    }
    n = 0;
  }
}

}  // namespace stablelm
