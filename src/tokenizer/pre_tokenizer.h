// The split of text into pieces before BPE: a scanner that gives what the GPT-2 regular expression gives,
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// without a regex engine, linear in the text.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/unicode_tables.h"

namespace stablelm {

// End of the piece that begins at `begin` < text.size(). `text` is valid UTF-8; its end counts as the end of the text
// for the look-ahead.
size_t PieceEnd(const UnicodeTables& tables, std::string_view text, size_t begin);

}  // namespace stablelm
