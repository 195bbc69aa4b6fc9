// The tokenizer of a GGUF file: the whole tokenizer.json if the file stores it ("tokenizer.huggingface.json"),
// otherwise llama.cpp's lists ("tokenizer.ggml.tokens", "token_type", "merges"), which give the same ids for GPT-NeoX
// tokenizers.
//
// Settings that the lists lack are those of GPT-NeoX: NFC, byte-level BPE, no token added to a text. Control tokens are
// special. User-defined tokens (runs of spaces) are matched in any text. Unused tokens at the end, and those called
// "[PADn]" with their own id, pad the list to the model's vocabulary and have no text.
//
// Files of older converters differ: no types (or all normal), which are inferred from the merges, with a warning; and
// tokens written as their bytes, not as byte symbols (both until November 2023).
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "tokenizer/tokenizer_json.h"

namespace stablelm {

bool HasGgufTokenizer(const GgufHeader& header);
// Throws Error if the file has no tokenizer or an unsupported kind.
TokenizerSpec ReadGgufTokenizer(const GgufHeader& header);

// Sets llama.cpp's lists, padded to `vocab_size` ids; `bos_id` and `eos_id` are the model's. Throws Error if the
// tokenizer has more ids than the model.
void SetTokenizerKeys(const TokenizerSpec& spec, int64_t vocab_size, int32_t bos_id, int32_t eos_id,
                      GgufMetadata& metadata);

}  // namespace stablelm
