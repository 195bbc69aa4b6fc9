#include "tokenizer/byte_symbols.h"

#include "base/utf8.h"
#include "tokenizer/utf8_unchecked.h"

namespace stablelm {

void AppendSpelledBytes(std::string_view spelling, std::string& out) {
  const size_t before = out.size();
  for (size_t i = 0; i < spelling.size();) {
    size_t bytes;
    const char32_t c = DecodeValidUtf8(spelling.data() + i, &bytes);
    if (c >= kSymbolEnd || kByteOfSymbol[c] < 0) {
      out.resize(before);
      out.append(spelling);
      return;
    }
    out += static_cast<char>(static_cast<uint8_t>(kByteOfSymbol[c]));
    i += bytes;
  }
}

std::string SpellBytes(std::string_view bytes) {
  std::string out;
  for (const char b : bytes) utf8::Append(kSymbolOfByte[static_cast<uint8_t>(b)], out);
  return out;
}

}  // namespace stablelm
