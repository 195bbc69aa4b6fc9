// Keys and pastes out of the bytes of a terminal.
#include "cli/terminal/key_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace stablelm {
namespace {

using testing::ElementsAre;
using Kind = TerminalKey::Kind;

// The keys of `bytes`, written as "a", "<ESC [ A>", "{pasted}", "WORD-LEFT".
std::vector<std::string> Keys(const std::string& bytes, bool idle_at_end = true) {
  KeyDecoder decoder;
  std::vector<std::string> keys;
  const auto take = [&](bool idle) {
    while (const std::optional<TerminalKey> key = decoder.Next(idle)) {
      switch (key->kind) {
        case Kind::kCharacter:
          keys.push_back(key->code_point < 0x80 ? std::string(1, static_cast<char>(key->code_point))
                                                : "U+" + std::to_string(key->code_point));
          break;
        case Kind::kSequence:
          keys.push_back("<" + key->text + ">");
          break;
        case Kind::kPaste:
          keys.push_back("{" + key->text + "}");
          break;
        case Kind::kWordLeft:
          keys.emplace_back("WORD-LEFT");
          break;
        case Kind::kWordRight:
          keys.emplace_back("WORD-RIGHT");
          break;
        case Kind::kHome:
          keys.emplace_back("HOME");
          break;
        case Kind::kEnd:
          keys.emplace_back("END");
          break;
      }
    }
  };
  for (const char byte : bytes) {
    decoder.Add(byte);
    take(false);
  }
  if (idle_at_end) take(true);
  return keys;
}

TEST(KeyDecoder, CharactersAndBadBytes) {
  EXPECT_THAT(Keys("a\u00E9\r"), ElementsAre("a", "U+233", "\r"));
  EXPECT_THAT(Keys("\xE9\r"), ElementsAre("U+65533", "\r"));
  EXPECT_THAT(Keys("\xE2\x82"
                   "x"),
              ElementsAre("U+65533", "x"));
  EXPECT_THAT(Keys("\xFF\x80z"), ElementsAre("U+65533", "U+65533", "z"));
  EXPECT_THAT(Keys("\xE9", false), ElementsAre());  // may go on
  EXPECT_THAT(Keys("\xE9", true), ElementsAre("U+65533"));
}

TEST(KeyDecoder, Sequences) {
  EXPECT_THAT(Keys("\033[A\033OH\033[3~x"), ElementsAre("<\033[A>", "<\033OH>", "<\033[3~>", "x"));
  EXPECT_THAT(Keys("\033[1;5D\033[1;3C\033[1~\033[8~"), ElementsAre("WORD-LEFT", "WORD-RIGHT", "HOME", "END"));
  EXPECT_THAT(Keys("a\033[15~\033[<0;1;1Mb"), ElementsAre("a", "b"));  // unknown keys leave nothing behind
  EXPECT_THAT(Keys("\033b"), ElementsAre("\033", "b"));                // Alt-b
  EXPECT_THAT(Keys("\033"), ElementsAre("\033"));
  EXPECT_THAT(Keys("\033", false), ElementsAre());
}

TEST(KeyDecoder, Pastes) {
  const auto pasted = [](const std::string& text) { return "\033[200~" + text + "\033[201~"; };
  EXPECT_THAT(Keys(pasted("a\tb\r\nc\rd\ne\r\n") + "x"), ElementsAre("{a\tb\nc\nd\ne}", "x"));
  EXPECT_THAT(Keys(pasted("\033[31m\x07\u009B\xFF")), ElementsAre("{ [31m  \uFFFD}"));
  EXPECT_THAT(Keys(pasted("")), ElementsAre("{}"));
  EXPECT_THAT(Keys("\033[200~no end"), ElementsAre());
}

}  // namespace
}  // namespace stablelm
