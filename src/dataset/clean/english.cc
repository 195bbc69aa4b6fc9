#include "dataset/clean/english.h"

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.h"
#include "dataset/clean/code_ranges.h"
#include "tokenizer/unicode_tables.h"

namespace stablelm {
namespace {

// Whether one in ten characters of the line, white space aside, is a sign that code is full of.
bool LooksLikeCode(std::string_view line) {
  constexpr std::string_view kSigns = "{}()[];=<>+*/\\_$#&|";
  size_t signs = 0, characters = 0;
  for (const char c : line) {
    if (c == ' ' || c == '\t' || (c & 0xC0) == 0x80) continue;
    ++characters;
    if (kSigns.find(c) != std::string_view::npos) ++signs;
  }
  return signs * 10 >= characters;
}

void AppendProse(std::string_view text, std::string& prose) {
  // Code that begins in what is looked at may end far behind it: the whole text is searched for it.
  const std::string without = WithoutCode(text);
  const std::string_view all = without;
  for (size_t at = 0; at < all.size() && prose.size() < kMostProseBytes;) {
    const size_t end = std::min(all.find('\n', at), all.size());
    if (const std::string_view line = all.substr(at, end - at); !LooksLikeCode(line)) prose.append(line).append("\n");
    at = end + 1;
  }
}

std::string ProseOf(const SourceConversation& conversation) {
  std::string prose;
  if (conversation.document) AppendProse(*conversation.document, prose);
  for (const SourceTurn& turn : conversation.turns) {
    if (prose.size() >= kMostProseBytes) break;
    AppendProse(turn.text, prose);
  }
  if (prose.size() > kMostProseBytes) {
    size_t end = kMostProseBytes;
    while (end > 0 && (prose[end] & 0xC0) == 0x80) --end;
    prose.resize(end);
  }
  return prose;
}

size_t LettersOf(std::string_view text) {
  size_t letters = 0;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded c = utf8::DecodeOne(text.substr(at));
    const bool ascii = (c.code_point >= 'a' && c.code_point <= 'z') || (c.code_point >= 'A' && c.code_point <= 'Z');
    if (ascii || (c.code_point >= 0x80 && UnicodeTables::IsWord(c.code_point))) ++letters;
    at += c.bytes;
  }
  return letters;
}

}  // namespace

EnglishShare EnglishShareOf(const SourceConversation& conversation) {
  const std::string prose = ProseOf(conversation);
  EnglishShare result{.letters = LettersOf(prose)};
  const CLD2::CLDHints hints = {nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  std::array<CLD2::Language, 3> languages = {};
  std::array<int, 3> percent = {};
  std::array<double, 3> scores = {};
  int text_bytes = 0, valid_bytes = 0;
  bool reliable = false;
  CLD2::ExtDetectLanguageSummaryCheckUTF8(prose.data(), static_cast<int>(prose.size()), true, &hints, 0,
                                          languages.data(), percent.data(), scores.data(), nullptr, &text_bytes,
                                          &reliable, &valid_bytes);
  int english = 0, named = 0;
  for (size_t i = 0; i < languages.size(); ++i) {
    if (languages[i] == CLD2::UNKNOWN_LANGUAGE || languages[i] == CLD2::TG_UNKNOWN_LANGUAGE) continue;
    named += percent[i];
    if (languages[i] == CLD2::ENGLISH) english += percent[i];
  }
  if (reliable && named > 0) result.share = static_cast<double>(english) / named;
  return result;
}

bool IsNotEnglish(const SourceConversation& conversation, double threshold) {
  const EnglishShare share = EnglishShareOf(conversation);
  return share.letters > kLeastLetters && share.share < threshold;
}

}  // namespace stablelm
