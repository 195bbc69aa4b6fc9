#include "dataset/tokenizer_hash.h"

#include "base/sha256.h"

namespace stablelm {

std::string TokenizerHash(const Tokenizer& tokenizer) {
  // Words, numbers, spaces, code, other scripts: enough for a change of the merges to show.
  static constexpr std::string_view kSample =
      "The quick brown fox jumps over 13 lazy dogs.\n\n    if (x != 0) { return f(x) * 1e-5; }\t// caf\xC3\xA9 "
      "\xE7\x8C\xAB \xF0\x9F\x98\x80 internationalization, unbelievably; \"it's\" 2023-04-19 "
      "https://example.org/?q=1\n";
  std::string content = tokenizer.Summary().nfc ? "nfc\n" : "\n";
  const auto add = [&](std::string_view text) {
    content += std::to_string(text.size()) + ":";
    content += text;
  };
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view spelling = tokenizer.TokenSpelling(id);
    if (spelling.empty()) continue;
    content += std::to_string(id) + (tokenizer.IsSpecial(id) ? "s" : "t");
    add(spelling);
  }
  for (const int32_t id : tokenizer.Encode(kSample)) content += " " + std::to_string(id);
  return Sha256Hex(content);
}

}  // namespace stablelm
