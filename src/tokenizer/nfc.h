// Unicode normalization form C of UTF-8 text, with a record of what moved where.
//
// Linear in the text, but for the stable sort of each run of combining marks (n log n). Text in which no code point may
// change is recognised without being copied.
//
// The Unicode data is utf8proc's (UnicodeVersion). huggingface/tokenizers 0.23 normalizes by older data: it leaves
// marks that were added to Unicode in recent years (U+08D3, U+1AC1, ...) in the order in which they stand, where this,
// like Python's unicodedata, orders them. Text without such marks normalizes alike.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode_tables.h"

namespace stablelm {

// One cluster (a starter and what follows up to the next one that is a boundary) whose bytes NFC changed. All four are
// byte offsets; what lies between two edits is the same in both texts.
struct NfcEdit {
  size_t normalized_begin = 0;
  size_t normalized_end = 0;
  size_t original_begin = 0;
  size_t original_end = 0;
};

// True when `text` (valid UTF-8) may not be in NFC: then NormalizeNfc has to look. Never false for text that NFC
// changes.
bool MayNeedNfc(const UnicodeTables& tables, std::string_view text);

// Writes NFC(text) to `out` and the changed clusters, in order, to `edits`; both are cleared first. `text` is valid
// UTF-8.
void NormalizeNfc(const UnicodeTables& tables, std::string_view text, std::string& out, std::vector<NfcEdit>& edits);

}  // namespace stablelm
