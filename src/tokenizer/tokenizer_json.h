// Reads tokenizer.json (huggingface/tokenizers) of GPT-NeoX models: byte-level BPE, NFC or no normalization.
//
// Accepted: model BPE with merges as strings "a b" or pairs ["a", "b"]; normalizer null or NFC; pre-tokenizer and
// decoder ByteLevel with the built-in regular expression; post-processor null, ByteLevel or a template that adds no
// token; each also as a Sequence of one. Anything else that would change ids or text is an Error that names the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocabulary.h"

namespace stablelm {

// All data that defines a tokenizer. Readers of other formats that embed a tokenizer fill the same struct.
struct TokenizerSpec {
  Vocabulary vocabulary;                 // all ids, including added tokens
  std::vector<BpeMerge> merges;          // in order of rank
  std::vector<AddedToken> added_tokens;  // content as in the file
  bool nfc = true;                       // normalize to NFC before splitting
  std::vector<std::string> warnings;     // ignored settings, for the user
};

// Throws an Error that names the file (`where`) and the field. Keeps no reference to `json`.
TokenizerSpec ParseTokenizerJson(std::string_view json, const std::string& where);

}  // namespace stablelm
