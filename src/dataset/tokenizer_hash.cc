#include "dataset/tokenizer_hash.h"

#include "base/sha256.h"
#include "tokenizer/bpe.h"

namespace stablelm {

std::string TokenizerHash(const Tokenizer& tokenizer) {
  std::string content = tokenizer.Summary().nfc ? "nfc\n" : "\n";
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view spelling = tokenizer.TokenSpelling(id);
    if (spelling.empty()) continue;
    content += std::to_string(id) + (tokenizer.IsSpecial(id) ? "s" : "t") + std::to_string(spelling.size()) + ":";
    content += spelling;
  }
  for (const BpeMerge& merge : tokenizer.merges()) {
    content += "\n" + std::to_string(merge.left) + " " + std::to_string(merge.right);
  }
  return Sha256Hex(content);
}

}  // namespace stablelm
