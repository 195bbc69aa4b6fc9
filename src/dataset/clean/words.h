// The words of a text, as near duplicates and overlap with evaluation sets compare them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/unicode_tables.h"

namespace stablelm {

// A word is a maximal run of letters (\p{L}), numbers (\p{N}) and marks (what else \w holds above ASCII), with A to Z
// in lower case; everything else divides words ("don't" is two, "a_b" too). Of scripts without spaces between words
// (CJK ideographs, kana) each character is a word. Immutable: thread-safe.
class WordSplitter {
 public:
  // Appends Hash64 (dataset/clean/hashes.h) of each word of `text`, valid UTF-8, in order.
  void AppendHashes(std::string_view text, std::vector<uint64_t>& hashes) const;

 private:
  UnicodeTables tables_;
};

// One hash of several words' hashes, in their order.
uint64_t HashOfWords(std::span<const uint64_t> words);

}  // namespace stablelm
