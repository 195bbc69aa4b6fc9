// What the divergences of many tokens say of a model made from another: the numbers of `quantize --check`, and the keys
// of a GGUF file that carry them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "eval/divergence.h"

namespace stablelm {

struct Quality {
  uint64_t tokens = 0;  // predictions that were compared
  double mean_kl = 0;   // nats
  double p99_kl = 0;    // the smallest of the divergences that 99 % of the tokens do not exceed
  double largest_kl = 0;
  double same_first = 0;         // share of the tokens for which both models have the same first choice
  double source_perplexity = 0;  // exp of the mean of -ln p(the token that came)
  double perplexity = 0;

  double PerplexityChange() const { return perplexity / source_perplexity - 1; }
};

// At least one token; sums run in their order.
Quality SummarizeDivergences(std::span<const TokenDivergence> tokens);

// The nearest-rank quantile: the smallest value that at least `share` of the values do not exceed. 0 < share <= 1.
double Quantile(std::span<const double> values, double share);

// What was compared, and how it came out.
struct QualityRecord {
  std::string text;         // the name of the text's file
  std::string text_sha256;  // of its bytes
  uint64_t window = 0;      // tokens that are read together at the most
  Quality quality;
};

// The keys begin with kQualityKeys (checkpoint/rewrite/gguf_metadata.h). Every number takes the same bytes whatever its
// value. docs/quantizing.md lists the keys.
void SetQualityKeys(const QualityRecord& record, GgufMetadata& metadata);
// Empty when the file carries none. Throws Error when some are missing or of another kind.
std::optional<QualityRecord> ReadQualityKeys(const GgufHeader& header);

}  // namespace stablelm
