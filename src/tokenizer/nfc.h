// Unicode normalization form C (NFC) of UTF-8 text, with a list of the changed ranges.
//
// Linear in the length of the text, except for the stable sort of each run of combining marks (n log n). MayNeedNfc
// recognises text that cannot change without copying it.
//
// The Unicode data is utf8proc's (UnicodeVersion). huggingface/tokenizers 0.23 uses older Unicode data: it does not
// reorder marks added to Unicode in recent years (U+08D3, U+1AC1, ...). We reorder them, as Python's unicodedata does.
// Text without such marks normalizes identically.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode_tables.h"

namespace stablelm {

// One cluster (a starter and the code points up to the next normalization boundary) that NFC changed. All four fields
// are byte offsets. Text between two edits is unchanged.
struct NfcEdit {
  size_t normalized_begin = 0;
  size_t normalized_end = 0;
  size_t original_begin = 0;
  size_t original_end = 0;
};

// False if `text` (valid UTF-8) is certainly in NFC. True if it may not be: call NormalizeNfc.
bool MayNeedNfc(const UnicodeTables& tables, std::string_view text);

// Writes NFC(text) to `out` and the changed clusters, in order, to `edits`; clears both first. `text` must be valid
// UTF-8.
void NormalizeNfc(const UnicodeTables& tables, std::string_view text, std::string& out, std::vector<NfcEdit>& edits);

}  // namespace stablelm
