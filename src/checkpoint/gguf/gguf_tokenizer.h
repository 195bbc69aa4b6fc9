// The tokenizer of a GGUF file: the whole tokenizer.json where the file carries it ("tokenizer.huggingface.json"), else
// the lists of llama.cpp ("tokenizer.ggml.tokens", "token_type", "merges"), which give the same ids for tokenizers of
// the GPT-NeoX kind.
//
// What the lists do not say is taken as GPT-NeoX has it: NFC, byte-level BPE, no token added to a text. Control tokens
// are special; user-defined ones (runs of spaces) are searched for in any text; unused ones at the end pad the list to
// the model's vocabulary and have no text.
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "tokenizer/tokenizer_json.h"

namespace stablelm {

bool HasGgufTokenizer(const GgufHeader& header);
// Throws Error when there is none, or one of another kind.
TokenizerSpec ReadGgufTokenizer(const GgufHeader& header);

// The lists for llama.cpp, padded to `vocab_size` ids; `bos_id` and `eos_id` are the model's. Throws Error when the
// tokenizer has more ids than the model.
void SetTokenizerKeys(const TokenizerSpec& spec, int64_t vocab_size, int32_t bos_id, int32_t eos_id,
                      GgufMetadata& metadata);

}  // namespace stablelm
