// Quality of a quantized model: summarizes the divergences of many tokens into the numbers of `quantize --check`, and
// stores them as keys of a GGUF file.
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
  uint64_t tokens = 0;  // number of compared predictions
  double mean_kl = 0;   // nats
  double p99_kl = 0;    // 99th percentile (nearest rank)
  double largest_kl = 0;
  double same_first = 0;         // share of tokens for which both models have the same most likely token
  double source_perplexity = 0;  // exp of the mean of -ln p(actual next token)
  double perplexity = 0;

  double PerplexityChange() const { return perplexity / source_perplexity - 1; }
};

// At least one token; sums are in order of the tokens.
Quality SummarizeDivergences(std::span<const TokenDivergence> tokens);

// The nearest-rank quantile: the smallest value that at least `share` of the values do not exceed. 0 < share <= 1.
double Quantile(std::span<const double> values, double share);

// The text of a comparison and its result.
struct QualityRecord {
  std::string text;         // file name of the text
  std::string text_sha256;  // of its bytes
  uint64_t window = 0;      // maximum tokens per window
  Quality quality;
};

// The keys begin with kQualityKeys (checkpoint/rewrite/gguf_metadata.h). Every number has a fixed size.
// docs/quantizing.md lists the keys.
void SetQualityKeys(const QualityRecord& record, GgufMetadata& metadata);
// Empty when the file has none of the keys. Throws Error when some are missing or have the wrong type.
std::optional<QualityRecord> ReadQualityKeys(const GgufHeader& header);

}  // namespace stablelm
