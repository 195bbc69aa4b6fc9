#include "dataset/clean/words.h"

#include <array>
#include <string>

#include "base/utf8.h"
#include "dataset/clean/hashes.h"

namespace stablelm {
namespace {

// For bytes below 0x80: the byte in lower case if it belongs to words, else 0.
constexpr std::array<char, 128> kAscii = [] {
  std::array<char, 128> table = {};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = static_cast<char>(c - 'A' + 'a');
  return table;
}();

// CJK radicals to unified ideographs with kana between, compatibility ideographs, and the planes of ideographs.
bool StandsAlone(char32_t c) {
  return (c >= 0x2E80 && c < 0xA000) || (c >= 0xF900 && c < 0xFB00) || (c >= 0x20000 && c < 0x40000);
}

}  // namespace

void WordSplitter::AppendHashes(std::string_view text, std::vector<uint64_t>& hashes) const {
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) hashes.push_back(Hash64(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < kAscii.size()) {
      if (const char c = kAscii[byte]; c != 0) {
        word += c;
      } else {
        end_word();
      }
      ++at;
      continue;
    }
    const utf8::Decoded decoded = utf8::DecodeOne(text.substr(at));
    const char32_t c = decoded.code_point;
    const UnicodeTables::Class kind = tables_.ClassOf(c);
    const bool in_word = kind == UnicodeTables::kLetter || kind == UnicodeTables::kNumber ||
                         (kind == UnicodeTables::kOther && UnicodeTables::IsWord(c));
    const bool alone = in_word && StandsAlone(c);
    if (!in_word || alone) end_word();
    if (in_word) word += text.substr(at, decoded.bytes);
    if (alone) end_word();
    at += decoded.bytes;
  }
  end_word();
}

uint64_t HashOfWords(std::span<const uint64_t> words) {
  return Hash64({reinterpret_cast<const char*>(words.data()), words.size_bytes()});
}

}  // namespace stablelm
