#include "dataset/clean/hashes.h"

#include <xxhash.h>

#include <string>

#include "base/utf8.h"
#include "tokenizer/unicode_tables.h"

namespace stablelm {
namespace {

// A field that cannot be confused with what follows: its kind, its text, and a byte that UTF-8 never holds.
void AppendField(char kind, std::string_view text, std::string& out) {
  out += kind;
  bool space = false;  // before what comes next
  const size_t begin = out.size();
  for (size_t at = 0; at < text.size();) {
    // Visible ASCII: most of a text.
    size_t end = at;
    while (end < text.size() && text[end] > ' ' && text[end] < '\x7F') ++end;
    if (end > at) {
      if (space && out.size() > begin) out += ' ';
      space = false;
      out += text.substr(at, end - at);
      at = end;
      continue;
    }
    const auto c = static_cast<unsigned char>(text[at]);
    const utf8::Decoded decoded =
        c < 0x80 ? utf8::Decoded{.code_point = c, .bytes = 1} : utf8::DecodeOne(text.substr(at));
    const bool is_space = c > ' ' && c < 0x80 ? false : UnicodeTables::IsSpace(decoded.code_point);
    if (!is_space) {
      if (space && out.size() > begin) out += ' ';
      for (size_t i = 0; i < decoded.bytes; ++i) out += text[at + i];
    }
    space = is_space;
    at += decoded.bytes;
  }
  out += '\xFF';
}

}  // namespace

uint64_t Hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

ContentKey Hash128(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

ContentKey KeyOf(const SourceConversation& conversation) {
  std::string fields;
  if (conversation.system) AppendField('s', *conversation.system, fields);
  if (conversation.document) AppendField('d', *conversation.document, fields);
  for (const SourceTurn& turn : conversation.turns) {
    AppendField(turn.role == Role::kUser ? 'u' : 'a', turn.text, fields);
  }
  return Hash128(fields);
}

}  // namespace stablelm
