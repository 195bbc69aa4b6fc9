// Shared by the tokenizer's tests: the vectors of scripts/make_test_tokenizer.py, random text, small files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/utf8.h"
#include "test_paths.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

inline std::string TokenizerData(const std::string& name) { return TestData("tokenizer/" + name); }

inline nlohmann::json ReadJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

// A sequence of random numbers for tests. Each test fixes its seed, so runs are repeatable.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : philox_(seed) {}
  size_t Below(size_t n) { return static_cast<size_t>(philox_.Uniform(0, count_++) * static_cast<double>(n)); }

 private:
  Philox philox_;
  uint64_t count_ = 0;
};

// Random text that exercises every step of the tokenizer: spaces, apostrophes, marks, Hangul, special strings.
inline std::string RandomText(TestRandom& random, size_t max_parts) {
  static constexpr std::string_view kParts[] = {"a",
                                                "b",
                                                "z",
                                                "S",
                                                "t",
                                                "'",
                                                "'s",
                                                "'ll",
                                                "'t",
                                                "the",
                                                " ",
                                                " ",
                                                "  ",
                                                "   ",
                                                "\t",
                                                "\n",
                                                "\n\n",
                                                "\r\n",
                                                "0",
                                                "7",
                                                ",",
                                                ".",
                                                "<|USER|>",
                                                "<|",
                                                "|>",
                                                "<|endoftext|>",
                                                "\xC3\xA9",
                                                "e\xCC\x81",
                                                "\xCC\xA3",
                                                "\xCC\x88",
                                                "\xCC\x81",
                                                "\xE4\xBD\xA0",
                                                "\xED\x95\x9C",
                                                "\xE1\x84\x92",
                                                "\xE1\x85\xA1",
                                                "\xE1\x86\xA8",
                                                "\xE2\x84\xA6",
                                                "\xE0\xA5\x98",
                                                "\xC2\xA0",
                                                "\xE3\x80\x80",
                                                "\xF0\x9F\x98\x80",
                                                "\xE2\x80\x8D",
                                                "\xC4\xA0",
                                                "\xE2\x80\x99",
                                                "\xC2\xBD",
                                                "\xC2\x85"};
  std::string text;
  for (size_t n = random.Below(max_parts + 1); n > 0; --n) {
    if (random.Below(20) == 0) {
      // Any code point except surrogates.
      char32_t c = static_cast<char32_t>(random.Below(random.Below(2) == 0 ? 0x3000 : 0x110000));
      if (c >= 0xD800 && c <= 0xDFFF) c = 0xFFFD;
      utf8::Append(c, text);
    } else {
      text += kParts[random.Below(std::size(kParts))];
    }
  }
  return text;
}

// A tokenizer.json with all byte symbols (ids 0 to 242) and `merges`; tests modify its fields.
inline nlohmann::json SmallTokenizerJson(const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  nlohmann::json vocab = nlohmann::json::object();
  int id = 0;
  for (size_t b = 0; b < 256; ++b) {
    if (b == 0xC0 || b == 0xC1 || b >= 0xF5) continue;
    const char byte = static_cast<char>(static_cast<uint8_t>(b));
    vocab[SpellBytes({&byte, 1})] = id++;
  }
  nlohmann::json lines = nlohmann::json::array();
  for (const auto& [left, right] : merges) {
    lines.push_back(left + " " + right);
    if (!vocab.contains(left + right)) vocab[left + right] = id++;
  }
  const nlohmann::json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"added_tokens", nlohmann::json::array()},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", byte_level},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", lines}}}};
}

}  // namespace stablelm
