// Tokens that are searched for as strings, before the text is split: special tokens and runs of spaces.
//
// Matching follows huggingface/tokenizers (added_vocabulary.rs): leftmost match, the longest of those that start there,
// non-overlapping; then the flags of the token decide whether the match counts and whether it takes the white space
// beside it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;      // not recognised in plain text; dropped by decoding with skip_special
  bool normalized = false;   // searched for in the normalised text (after NFC), as NFC(content)
  bool single_word = false;  // counts only when no word character stands right before or after
  bool lstrip = false;       // takes the white space to its left
  bool rstrip = false;       // takes the white space to its right
};

// Immutable. Finding costs at most the length of the longest token per byte of text.
class AddedTokenMatcher {
 public:
  // Longest content in bytes: it bounds the work per byte of text. The loader refuses longer ones.
  static constexpr size_t kMaxContentBytes = 1024;

  struct Match {
    int32_t id = 0;
    size_t begin = 0;  // with the white space that the token takes
    size_t end = 0;
  };

  AddedTokenMatcher() = default;
  // Of tokens with the same content (two may become one by NFC) the first counts.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }

  // State of one walk over a text. `text` (valid UTF-8) must outlive it.
  class Finder {
   public:
    // parse_special = false: a special token's string is passed over as text.
    Finder(const AddedTokenMatcher& matcher, std::string_view text, bool parse_special)
        : matcher_(matcher), text_(text), parse_special_(parse_special) {}
    std::optional<Match> Next();

   private:
    const AddedTokenMatcher& matcher_;
    std::string_view text_;
    bool parse_special_;
    size_t search_ = 0;                   // where the next search begins
    size_t taken_ = 0;                    // end of the last match that counted
    size_t run_begin_ = 1, run_end_ = 0;  // white space that a match took to its right; none yet
  };

 private:
  // The longest token that starts exactly at `at`, or null.
  const AddedToken* LongestAt(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  // Tokens by their first byte: the range [first, last) of tokens_; empty for most bytes.
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;
  };
  std::array<Range, 256> by_first_byte_{};
  size_t shortest_ = 0;
};

}  // namespace stablelm
