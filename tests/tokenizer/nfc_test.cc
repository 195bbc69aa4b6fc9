#include "tokenizer/nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>

#include "tokenizer/test_support.h"

namespace stablelm {
namespace {

const UnicodeTables& Tables() {
  static const UnicodeTables tables;
  return tables;
}

std::string Nfc(std::string_view text) {
  std::string out;
  std::vector<NfcEdit> edits;
  NormalizeNfc(Tables(), text, out, edits);
  return out;
}

// utf8proc's own NFC: correct, but quadratic for long runs of marks.
std::string OtherNfc(const std::string& text) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &result, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  EXPECT_GE(n, 0);
  std::string out(reinterpret_cast<char*>(result), static_cast<size_t>(std::max<utf8proc_ssize_t>(n, 0)));
  std::free(result);
  return out;
}

std::string Utf8Of(std::initializer_list<char32_t> code_points) {
  std::string out;
  for (const char32_t c : code_points) utf8::Append(c, out);
  return out;
}

TEST(UnicodeTables, ClassesOfEveryCodePoint) {
  size_t letters = 0, numbers = 0, spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    const bool number = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
    const auto found = Tables().ClassOf(c);
    ASSERT_EQ(found == UnicodeTables::kLetter, letter) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(found == UnicodeTables::kNumber, number) << std::hex << static_cast<uint32_t>(c);
    letters += letter;
    numbers += number;
    spaces += found == UnicodeTables::kSpace;
  }
  EXPECT_EQ(spaces, 25u);  // the White_Space property
  EXPECT_GT(letters, 130000u);
  EXPECT_GT(numbers, 1800u);
}

TEST(UnicodeTables, WhiteSpaceIsNotWhatLooksLikeIt) {
  for (const char32_t c : std::initializer_list<char32_t>{0x09, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x2028,
                                                          0x2029, 0x202F, 0x205F, 0x3000}) {
    EXPECT_EQ(Tables().ClassOf(c), UnicodeTables::kSpace) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : std::initializer_list<char32_t>{0x1C, 0x1F, 0x180E, 0x200B, 0xFEFF}) {
    EXPECT_EQ(Tables().ClassOf(c), UnicodeTables::kOther) << static_cast<uint32_t>(c);
  }
}

TEST(UnicodeTables, VersionIsStated) { EXPECT_GE(std::stoi(UnicodeVersion()), 15); }

TEST(Nfc, EveryCodePointAlone) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const std::string text = Utf8Of({c});
    const std::string expected = OtherNfc(text);
    ASSERT_EQ(Nfc(text), expected) << std::hex << static_cast<uint32_t>(c);
    if (expected != text) {
      ASSERT_TRUE(MayNeedNfc(Tables(), text)) << std::hex << static_cast<uint32_t>(c);
    }
  }
}

// Every decomposable code point, decomposed, with marks before and after it: composes as in utf8proc.
TEST(Nfc, EveryDecompositionComposesBack) {
  for (char32_t c = 0; c < 0x30000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::vector<char32_t> parts;
    UnicodeTables::Decompose(c, parts);
    if (parts.size() == 1 && parts[0] == c) continue;
    std::string text;
    for (const char32_t p : parts) utf8::Append(p, text);
    for (const char* tail : {"", "\xCC\x81", "\xCC\xA3\xCC\x81", "\xE3\x82\x99"}) {
      const std::string longer = text + tail;
      ASSERT_EQ(Nfc(longer), OtherNfc(longer)) << std::hex << static_cast<uint32_t>(c);
    }
  }
}

TEST(Nfc, RandomTextIsAsUtf8procNormalizesIt) {
  TestRandom random(1);
  // Marks of several classes, composing starters, Hangul.
  const std::vector<char32_t> pool = {
      'a',   'e',    's',   'q',    0x300,  0x301,   0x302,   0x308,   0x323,   0x327,  0x328,  0x345,   0x30A, 0x1E0B,
      0xC5,  0x212B, 0x915, 0x93C,  0x958,  0x1100,  0x1161,  0x11A8,  0xAC00,  0xAC01, 0x3099, 0x304B,  0x9C7, 0x9BE,
      0xDD9, 0xDCF,  0xDCA, 0x1025, 0x102E, 0x110B9, 0x110BA, 0x1D158, 0x1D165, 0x344,  ' ',    0x10FFFF};
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (size_t n = random.Below(12); n > 0; --n) utf8::Append(pool[random.Below(pool.size())], text);
    const std::string expected = OtherNfc(text);
    ASSERT_EQ(Nfc(text), expected) << i;
    ASSERT_EQ(Nfc(expected), expected) << i;
    if (!MayNeedNfc(Tables(), text)) {
      ASSERT_EQ(expected, text) << i;
    }
  }
}

TEST(Nfc, EditsTellWhatMoved) {
  const std::string text = "ab e\xCC\x81 \xE2\x84\xA6 \xCC\x81 cd";  // e + acute, ohm, a lone mark
  std::string out;
  std::vector<NfcEdit> edits;
  NormalizeNfc(Tables(), text, out, edits);
  EXPECT_EQ(out, "ab \xC3\xA9 \xCE\xA9 \xCC\x81 cd");
  ASSERT_EQ(edits.size(), 2u);  // the lone mark stays as it is: no edit
  EXPECT_EQ(text.substr(edits[0].original_begin, edits[0].original_end - edits[0].original_begin), "e\xCC\x81");
  EXPECT_EQ(out.substr(edits[0].normalized_begin, edits[0].normalized_end - edits[0].normalized_begin), "\xC3\xA9");
  // The cluster of a singleton begins at the boundary before it.
  EXPECT_EQ(text.substr(edits[1].original_begin, edits[1].original_end - edits[1].original_begin), " \xE2\x84\xA6");
}

TEST(Nfc, LongRunOfMarksIsSortedNotSwapped) {
  // 200,000 marks in the worst order; a quadratic ordering would take minutes.
  std::string text = "a";
  for (int i = 0; i < 100000; ++i) text += "\xCC\x81\xCC\xA3";  // classes 230, 220
  const std::string out = Nfc(text);
  // a + dot below composes to U+1EA1, then the other 99,999 dots, then all acutes.
  EXPECT_TRUE(out.starts_with("\xE1\xBA\xA1\xCC\xA3\xCC\xA3"));
  EXPECT_TRUE(out.ends_with("\xCC\x81\xCC\x81"));
  EXPECT_EQ(out.size(), 3u + 2 * 99999 + 2 * 100000);
}

}  // namespace
}  // namespace stablelm
