// What happened to one source: the numbers of the manifest and the report.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataset/clean/reasons.h"
#include "dataset/recipe.h"
#include "dataset/samples.h"

namespace stablelm {

struct FileAccount {
  std::string name;  // SourceFile::name
  uint64_t bytes = 0;
  std::string sha256;
  std::string format;  // NameOf(RowFormat)
  uint64_t rows = 0;
};

// A row that was dropped, for the list of examples.
struct DroppedRow {
  std::string place;  // "FILE:LINE", or "FILE: row N" where lines are not known
  std::string reason;
  std::string words;
};

struct SourceAccount {
  std::string name;
  SourceKind kind = SourceKind::kAuto;  // the one in force
  std::string kind_from;                // "recipe", or why it was guessed
  LossRule loss = LossRule::kAssistant;
  std::string licence;
  std::vector<FileAccount> files;

  uint64_t rows = 0;                        // read
  uint64_t conversations = 0;               // in these rows; rows that cannot be used count as one
  uint64_t kept = 0;                        // conversations with at least one sample
  std::map<std::string, uint64_t> dropped;  // conversations by reason
  std::vector<DroppedRow> examples;         // the first kMostExamples of each reason
  ChangeCounts changes;
  uint64_t repairs = 0;                           // ill-formed UTF-8 and lone surrogates that became U+FFFD
  uint64_t control_spellings = 0;                 // spellings of special tokens in texts, which stayed text
  uint64_t open_answers = 0;                      // audit "turn-end"
  uint64_t texts_checked = 0, texts_changed = 0;  // audit "round-trip"
  TokenAccount tokens;
  uint64_t samples = 0, targets = 0;
  // Samples by length: [i] counts lengths in [2^i, 2^(i+1)).
  std::array<uint64_t, 24> lengths = {};
  // Of weights: copies of samples beyond the first, samples left out, and their tokens.
  uint64_t samples_repeated = 0, tokens_repeated = 0, samples_left_out = 0, tokens_left_out = 0;

  static constexpr size_t kMostExamples = 5;
  uint64_t Dropped() const {
    uint64_t sum = 0;
    for (const auto& [reason, count] : dropped) sum += count;
    return sum;
  }
  void Drop(const std::string& reason, const std::string& place, const std::string& words);
};

}  // namespace stablelm
