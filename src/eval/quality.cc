#include "eval/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "checkpoint/rewrite/gguf_metadata.h"

namespace stablelm {
namespace {

struct NumberKey {
  const char* key;
  double Quality::*value;
};
constexpr std::array kNumbers = {
    NumberKey{"stablelm.check.mean_kl", &Quality::mean_kl},
    NumberKey{"stablelm.check.p99_kl", &Quality::p99_kl},
    NumberKey{"stablelm.check.largest_kl", &Quality::largest_kl},
    NumberKey{"stablelm.check.same_first", &Quality::same_first},
    NumberKey{"stablelm.check.source_perplexity", &Quality::source_perplexity},
    NumberKey{"stablelm.check.perplexity", &Quality::perplexity},
};
constexpr std::string_view kText = "stablelm.check.text", kTextSha256 = "stablelm.check.text_sha256",
                           kWindow = "stablelm.check.window", kTokens = "stablelm.check.tokens";

template <typename T>
T Required(const GgufHeader& header, std::string_view key, const std::optional<T>& value) {
  if (!value) header.Fail(key, "is missing", {}, "all keys of the check, or none");
  return *value;
}

uint64_t Count(const GgufHeader& header, std::string_view key) {
  const int64_t value = Required(header, key, header.Integer(key));
  if (value < 1) header.Fail(key, "out of range", std::to_string(value), "at least 1");
  return static_cast<uint64_t>(value);
}

}  // namespace

double Quantile(std::span<const double> values, double share) {
  STABLELM_CHECK(!values.empty() && share > 0 && share <= 1);
  std::vector<double> sorted(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(std::clamp<size_t>(rank, 1, sorted.size()) - 1);
  std::ranges::nth_element(sorted, at);
  return *at;
}

Quality SummarizeDivergences(std::span<const TokenDivergence> tokens) {
  STABLELM_CHECK(!tokens.empty());
  const auto n = static_cast<double>(tokens.size());
  std::vector<double> divergences;
  double kl = 0, source = 0, other = 0, same = 0;
  for (const TokenDivergence& token : tokens) {
    divergences.push_back(token.kl);
    kl += token.kl;
    source += token.source_log_prob;
    other += token.log_prob;
    same += token.same_first ? 1 : 0;
  }
  return {.tokens = tokens.size(),
          .mean_kl = kl / n,
          .p99_kl = Quantile(divergences, 0.99),
          .largest_kl = std::ranges::max(divergences),
          .same_first = same / n,
          .source_perplexity = std::exp(-source / n),
          .perplexity = std::exp(-other / n)};
}

void SetQualityKeys(const QualityRecord& record, GgufMetadata& metadata) {
  metadata.SetText(kText, record.text);
  metadata.SetText(kTextSha256, record.text_sha256);
  metadata.Set<uint64_t>(kWindow, record.window);
  metadata.Set<uint64_t>(kTokens, record.quality.tokens);
  for (const NumberKey& number : kNumbers) metadata.Set<double>(number.key, record.quality.*number.value);
}

std::optional<QualityRecord> ReadQualityKeys(const GgufHeader& header) {
  const bool any =
      std::ranges::any_of(header.entries, [](const GgufEntry& entry) { return entry.key.starts_with(kQualityKeys); });
  if (!any) return std::nullopt;
  QualityRecord record;
  record.text = Required(header, kText, header.Text(kText));
  record.text_sha256 = Required(header, kTextSha256, header.Text(kTextSha256));
  record.window = Count(header, kWindow);
  record.quality.tokens = Count(header, kTokens);
  for (const NumberKey& number : kNumbers) {
    record.quality.*number.value = Required(header, number.key, header.Real(number.key));
  }
  return record;
}

}  // namespace stablelm
