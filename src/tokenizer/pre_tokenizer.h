// Pre-tokenizer: splits text into pieces before BPE, exactly as the GPT-2 regular expression does,
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// but with a hand-written scanner in linear time.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/unicode_tables.h"

namespace stablelm {

// End of the piece that begins at `begin` < text.size(). `text` must be valid UTF-8. The look-ahead treats text.size()
// as the end of the text.
size_t PieceEnd(const UnicodeTables& tables, std::string_view text, size_t begin);

}  // namespace stablelm
