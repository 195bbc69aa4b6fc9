// What the tokenizer must know of every code point, from utf8proc's data: the class that the pre-tokenizer splits by,
// whether NFC may change it, its combining class, its canonical decomposition, and which pairs compose.
//
// utf8proc's own NFC is not used: its canonical ordering is quadratic in the length of a run of marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stablelm {

// "15.0.0": the Unicode version of the tables in use.
std::string UnicodeVersion();

// Immutable after construction (about 2 ms); safe to share between threads.
class UnicodeTables {
 public:
  enum Class : uint8_t {
    kOther = 0,
    kLetter = 1,  // \p{L}
    kNumber = 2,  // \p{N}
    kSpace = 3,   // White_Space
  };

  UnicodeTables();

  Class ClassOf(char32_t c) const { return static_cast<Class>(Entry(c) & kClassMask); }
  // False: a starter (combining class 0) that NFC leaves as it is and that never composes with what stands before it.
  // Text without any code point for which this is true is in NFC.
  bool NfcMayChange(char32_t c) const { return (Entry(c) & kNfcBit) != 0; }

  static uint8_t CombiningClass(char32_t c);
  // Appends the full canonical decomposition (c itself when it has none). Not reordered.
  static void Decompose(char32_t c, std::vector<char32_t>& out);
  // The primary composite of the pair, Hangul included; 0 when there is none.
  char32_t Compose(char32_t first, char32_t second) const;

  static bool IsSpace(char32_t c);  // White_Space
  // \w as Unicode regular expressions define it (UTS #18): alphabetic, mark, decimal digit, connector, join control.
  static bool IsWord(char32_t c);

 private:
  static constexpr uint8_t kClassMask = 3;
  static constexpr uint8_t kNfcBit = 4;
  // Above this code point nothing is a letter, a number or a space, and nothing is touched by NFC (the test checks it).
  static constexpr char32_t kTableSize = 0x34000;

  uint8_t Entry(char32_t c) const { return c < kTableSize ? entries_[c] : uint8_t{kOther}; }

  std::vector<uint8_t> entries_;                           // [kTableSize]
  std::vector<std::pair<uint64_t, char32_t>> composites_;  // sorted by first << 32 | second
};

}  // namespace stablelm
