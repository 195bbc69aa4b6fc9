#include "checkpoint/rewrite/quant_mix.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest.h"
#include "checkpoint/gguf/gguf_keys.h"

namespace stablelm {
namespace {

using enum DType;

constexpr std::array kMixes = {
    QuantMix{"F32", kF32, kF32, kF32, kF32, 0, "32 bits"},
    QuantMix{"F16", kF16, kF16, kF16, kF16, 1, "16 bits"},
    QuantMix{"BF16", kBF16, kBF16, kBF16, kBF16, 32, "16 bits with the range of 32"},
    QuantMix{"Q8_0", kQ8_0, kQ8_0, kQ8_0, kQ8_0, 7, "8.5 bits a weight: hardly to be told from 16"},
    QuantMix{"Q6_K", kQ6_K, kQ6_K, kQ6_K, kQ6_K, 18, "6.6 bits"},
    QuantMix{"Q5_K_M", kQ5_K, kQ6_K, kQ6_K, kQ6_K, 17, "6.0 bits: Q5_K, sensitive matrices Q6_K"},
    QuantMix{"Q5_K", kQ5_K, kQ5_K, kQ5_K, kQ6_K, 16, "5.6 bits"},
    QuantMix{"Q4_K_M", kQ4_K, kQ5_K, kQ6_K, kQ6_K, 15,
             "5.1 bits: Q4_K, sensitive matrices more; recommended for 4 bit"},
    QuantMix{"Q4_K", kQ4_K, kQ4_K, kQ4_K, kQ6_K, 14, "4.6 bits"},
    QuantMix{"Q4_0", kQ4_0, kQ4_0, kQ4_0, kQ6_K, 2, "4.6 bits, the simplest blocks"},
};

constexpr std::array kMatrixTypes = {kF32, kF16, kBF16, kQ8_0, kQ6_K, kQ5_K, kQ4_K, kQ4_0};

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return upper;
}

// llama.cpp's use_more_bits.
bool ImportantLayer(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType TypeByMix(const QuantMix& mix, const WeightEntry& entry, int64_t layers, bool tied) {
  switch (entry.kind) {
    case WeightKind::kOutput:
      return mix.output;
    case WeightKind::kEmbedding:
      return tied ? mix.output : mix.base;
    case WeightKind::kQkvWeight:
      return mix.qkv;
    case WeightKind::kMlpDownWeight:
      return ImportantLayer(entry.layer, layers) ? mix.important_down : mix.base;
    default:
      return mix.base;
  }
}

DType TypeForRows(const WeightEntry& entry, DType wanted, bool strict, std::vector<std::string>* warnings) {
  const int64_t row = entry.shape[1];
  if (row % BlockElements(wanted) == 0) return wanted;
  const DType instead = row % BlockElements(kQ8_0) == 0 ? kQ8_0 : kF16;
  const std::string what = "rows of " + std::to_string(row) + " values are not a whole number of " +
                           std::string(GgufNameOf(wanted)) + " blocks of " + std::to_string(BlockElements(wanted));
  if (strict) {
    throw Error({.where = "tensor " + Quoted(entry.name),
                 .what = what,
                 .hint = "without `strict` it is stored as " + std::string(GgufNameOf(instead))});
  }
  if (warnings) {
    warnings->push_back("tensor " + Quoted(entry.name) + ": " + what + "; stored as " +
                        std::string(GgufNameOf(instead)));
  }
  return instead;
}

std::vector<std::string> MatrixTypeNames() {
  std::vector<std::string> names;
  for (const DType type : kMatrixTypes) names.emplace_back(GgufNameOf(type));
  return names;
}

}  // namespace

std::span<const QuantMix> QuantMixes() { return kMixes; }

const QuantMix& QuantMixByName(std::string_view name, const std::string& where) {
  const std::string upper = Upper(name);
  std::vector<std::string> known;
  for (const QuantMix& mix : kMixes) {
    if (mix.name == upper) return mix;
    known.emplace_back(mix.name);
  }
  throw UsageError({.where = where,
                    .what = "unknown type",
                    .found = Quoted(name),
                    .expected = "one of " + Joined(known),
                    .hint = DidYouMean(upper, known)});
}

std::optional<DType> MatrixTypeFromName(std::string_view name) {
  const std::string upper = Upper(name);
  for (const DType type : kMatrixTypes) {
    if (GgufNameOf(type) == upper) return type;
  }
  return std::nullopt;
}

std::string_view GgufNameOf(DType type) {
  switch (type) {
    case kF32:
      return "F32";
    case kF16:
      return "F16";
    case kBF16:
      return "BF16";
    default:
      return NameOf(type);
  }
}

TensorRule ParseTensorRule(std::string_view text, const std::string& where) {
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw UsageError({.where = where,
                      .what = "not a rule for tensors",
                      .found = Quoted(text),
                      .expected = "PATTERN=TYPE, as in *.mlp.dense_4h_to_h.weight=Q6_K"});
  }
  const std::string_view name = text.substr(equals + 1);
  const std::optional<DType> type = MatrixTypeFromName(name);
  if (!type) {
    const std::vector<std::string> known = MatrixTypeNames();
    throw UsageError({.where = where,
                      .what = "unknown type in " + Quoted(text),
                      .found = Quoted(name),
                      .expected = "one of " + Joined(known),
                      .hint = DidYouMean(Upper(name), known)});
  }
  return {std::string(text.substr(0, equals)), *type};
}

bool MatchesPattern(std::string_view name, std::string_view pattern) {
  // Greedy glob matching that backtracks only to the last star: O(product of the lengths).
  size_t n = 0, p = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<DType> ChooseTypes(const QuantMix& mix, const TypeOptions& options, const std::vector<WeightEntry>& table,
                               std::vector<std::string>* warnings) {
  int64_t layers = 0;
  bool tied = true;
  for (const WeightEntry& entry : table) {
    layers = std::max<int64_t>(layers, entry.layer + 1);
    if (entry.kind == WeightKind::kOutput) tied = false;
  }
  std::vector<bool> used(options.rules.size());
  std::vector<DType> types;
  for (size_t i = 0; i < table.size(); ++i) {
    if (!table[i].IsMatrix()) {
      types.push_back(kF32);
      continue;
    }
    DType wanted = TypeByMix(mix, table[i], layers, tied);
    const std::string gguf_name = GgufTensorName(table[i]);
    for (size_t r = 0; r < options.rules.size(); ++r) {
      const TensorRule& rule = options.rules[r];
      if (!MatchesPattern(table[i].name, rule.pattern) && !MatchesPattern(gguf_name, rule.pattern)) continue;
      wanted = rule.type;
      used[r] = true;
    }
    types.push_back(TypeForRows(table[i], wanted, options.strict, warnings));
  }
  for (size_t r = 0; r < used.size(); ++r) {
    if (used[r]) continue;
    throw Error({.where = "`tensor`",
                 .what = "the pattern meets no matrix of this model",
                 .found = Quoted(options.rules[r].pattern),
                 .hint =
                     "names are matched whole, as in *.mlp.dense_4h_to_h.weight or blk.3.ffn_down.weight; norms and "
                     "biases stay fp32"});
  }
  return types;
}

}  // namespace stablelm
