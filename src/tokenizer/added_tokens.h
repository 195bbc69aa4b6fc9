// Added tokens: special tokens and runs of spaces, matched as strings before the text is split.
//
// Matching follows huggingface/tokenizers (added_vocabulary.rs): leftmost-longest, non-overlapping. The token's flags
// then decide whether the match counts and whether it includes adjacent white space.
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
  bool special = false;      // matched only with parse_special; decoding with skip_special drops it
  bool normalized = false;   // matched in the normalized text (after NFC), as NFC(content)
  bool single_word = false;  // matches only without a word character directly before or after
  bool lstrip = false;       // the match includes white space to its left
  bool rstrip = false;       // the match includes white space to its right
};

// Immutable. Cost of a search: at most the length of the longest token per byte of text.
class AddedTokenMatcher {
 public:
  // Maximum length of a token's content in bytes. Bounds the work per byte of text; the loader refuses longer tokens.
  static constexpr size_t kMaxContentBytes = 1024;

  struct Match {
    int32_t id = 0;
    size_t begin = 0;  // includes the white space of lstrip and rstrip
    size_t end = 0;
  };

  AddedTokenMatcher() = default;
  // If several tokens have the same content (NFC can make two equal), the first wins.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }

  // Iterates over the matches in `text` (valid UTF-8), which must outlive the Finder.
  class Finder {
   public:
    // parse_special = false: special tokens are skipped as plain text.
    Finder(const AddedTokenMatcher& matcher, std::string_view text, bool parse_special)
        : matcher_(matcher), text_(text), parse_special_(parse_special) {}
    std::optional<Match> Next();

   private:
    const AddedTokenMatcher& matcher_;
    std::string_view text_;
    bool parse_special_;
    size_t search_ = 0;                   // start of the next search
    size_t taken_ = 0;                    // end of the last returned match
    size_t run_begin_ = 1, run_end_ = 0;  // white space of the last rstrip; initially none
  };

 private:
  // The longest token that starts exactly at `at`, or null.
  const AddedToken* LongestAt(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  // Index by first byte: range [first, last) of tokens_, empty for most bytes.
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;
  };
  std::array<Range, 256> by_first_byte_{};
  size_t shortest_ = 0;
};

}  // namespace stablelm
