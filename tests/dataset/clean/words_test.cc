// The words of a text, as they are compared.
#include "dataset/clean/words.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataset/clean/hashes.h"

namespace stablelm {
namespace {

std::vector<uint64_t> Hashes(std::string_view text) {
  std::vector<uint64_t> hashes;
  WordSplitter().AppendHashes(text, hashes);
  return hashes;
}

std::vector<uint64_t> HashesOf(const std::vector<std::string>& words) {
  std::vector<uint64_t> hashes;
  for (const std::string& word : words) hashes.push_back(Hash64(word));
  return hashes;
}

TEST(Words, AreRunsOfLettersAndNumbers) {
  EXPECT_EQ(Hashes("Don't panic: 42 a_b-c\n"), HashesOf({"don", "t", "panic", "42", "a", "b", "c"}));
  EXPECT_EQ(Hashes("Caf\xC3\xA9 \xE2\x80\x9Cna\xC3\xAFve\xE2\x80\x9D x\xC2\xB2"),
            HashesOf({"caf\xC3\xA9", "na\xC3\xAFve", "x\xC2\xB2"}));
  EXPECT_EQ(Hashes("e\xCC\x81t"), HashesOf({"e\xCC\x81t"}));  // a mark belongs to its word
  EXPECT_EQ(Hashes("\xF0\x9F\x98\x80 ... !"), HashesOf({}));
  EXPECT_EQ(Hashes(""), HashesOf({}));
}

TEST(Words, OfIdeographsAreTheCharacters) {
  EXPECT_EQ(Hashes("a\xE4\xBD\xA0\xE5\xA5\xBD"
                   "b"),
            HashesOf({"a", "\xE4\xBD\xA0", "\xE5\xA5\xBD", "b"}));
}

}  // namespace
}  // namespace stablelm
