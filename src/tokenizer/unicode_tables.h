// Unicode properties that the tokenizer needs, from utf8proc's data: the class that the pre-tokenizer splits by,
// whether NFC may change a code point, combining class, canonical decomposition, and canonical composition.
//
// We do not use utf8proc's own NFC: its canonical ordering is quadratic in the length of a run of marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stablelm {

// Unicode version of the tables, "15.0.0".
std::string UnicodeVersion();

// Immutable after construction (about 2 ms); thread-safe.
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
  // False: a starter (combining class 0) that NFC does not change and that never composes with a preceding code point.
  // Text is in NFC if this is false for all its code points.
  bool NfcMayChange(char32_t c) const { return (Entry(c) & kNfcBit) != 0; }

  static uint8_t CombiningClass(char32_t c);
  // Appends the full canonical decomposition (c itself if it has none), without reordering.
  static void Decompose(char32_t c, std::vector<char32_t>& out);
  // The primary composite of the pair, including Hangul; 0 if there is none.
  char32_t Compose(char32_t first, char32_t second) const;

  static bool IsSpace(char32_t c);  // White_Space
  // \w as Unicode regular expressions define it (UTS #18): alphabetic, mark, decimal digit, connector, join control.
  static bool IsWord(char32_t c);

 private:
  static constexpr uint8_t kClassMask = 3;
  static constexpr uint8_t kNfcBit = 4;
  // From this code point on there are no letters, numbers or spaces, and NFC changes nothing (a test checks this).
  static constexpr char32_t kTableSize = 0x34000;

  uint8_t Entry(char32_t c) const { return c < kTableSize ? entries_[c] : uint8_t{kOther}; }

  std::vector<uint8_t> entries_;                           // [kTableSize]
  std::vector<std::pair<uint64_t, char32_t>> composites_;  // sorted by first << 32 | second
};

}  // namespace stablelm
