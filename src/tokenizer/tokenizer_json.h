// Reading tokenizer.json (huggingface/tokenizers) of the GPT-NeoX kind: byte-level BPE, NFC or no normalization.
//
// Accepted: model BPE with merges as strings "a b" or pairs ["a", "b"]; normalizer null or NFC; pre-tokenizer and
// decoder ByteLevel with the built-in regular expression; post-processor null, ByteLevel or a template that adds
// nothing; each also as a sequence of one. Anything else that would change ids or text is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocabulary.h"

namespace stablelm {

// Everything that makes a tokenizer, as plain data. Other formats that embed a tokenizer fill the same struct.
struct TokenizerSpec {
  Vocabulary vocabulary;                 // all ids, added tokens included
  std::vector<BpeMerge> merges;          // by rank
  std::vector<AddedToken> added_tokens;  // content as the file writes it
  bool nfc = true;                       // normalize to NFC before splitting
  std::vector<std::string> warnings;     // what was ignored, for the user
};

// Throws Error that names the file (`where`) and the field. No reference to `json` is kept.
TokenizerSpec ParseTokenizerJson(std::string_view json, const std::string& where);

}  // namespace stablelm
