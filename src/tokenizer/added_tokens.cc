#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8_unchecked.h"

namespace stablelm {
namespace {

char32_t CodePointBefore(std::string_view text, size_t at, size_t* begin) {
  size_t i = at - 1;
  while (i > 0 && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) --i;
  *begin = i;
  size_t bytes;
  return DecodeValidUtf8(text.data() + i, &bytes);
}

bool WordBefore(std::string_view text, size_t at) {
  size_t begin;
  return at > 0 && UnicodeTables::IsWord(CodePointBefore(text, at, &begin));
}

bool WordAfter(std::string_view text, size_t at) {
  size_t bytes;
  return at < text.size() && UnicodeTables::IsWord(DecodeValidUtf8(text.data() + at, &bytes));
}

size_t SkipSpaceBackward(std::string_view text, size_t at, size_t limit) {
  while (at > limit) {
    size_t begin;
    if (!UnicodeTables::IsSpace(CodePointBefore(text, at, &begin))) break;
    at = begin;
  }
  return std::max(at, limit);
}

size_t SkipSpaceForward(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t bytes;
    if (!UnicodeTables::IsSpace(DecodeValidUtf8(text.data() + at, &bytes))) break;
    at += bytes;
  }
  return at;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& t) { return t.content.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  const auto repeated = std::unique(tokens_.begin(), tokens_.end(),
                                    [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; });
  tokens_.erase(repeated, tokens_.end());
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    Range& range = by_first_byte_[static_cast<uint8_t>(tokens_[i].content[0])];
    if (range.last == 0) range.first = i;
    range.last = i + 1;
    shortest_ = i == 0 ? tokens_[i].content.size() : std::min(shortest_, tokens_[i].content.size());
  }
}

const AddedToken* AddedTokenMatcher::LongestAt(std::string_view text, size_t at) const {
  const Range range = by_first_byte_[static_cast<uint8_t>(text[at])];
  // Tokens with the prefix text[at, at + depth) are adjacent in the sorted list; each byte narrows the range.
  const AddedToken* first = tokens_.data() + range.first;
  const AddedToken* last = tokens_.data() + range.last;
  const AddedToken* longest = nullptr;
  for (size_t depth = 1; first != last; ++depth) {
    if (first->content.size() == depth) longest = first++;
    if (at + depth == text.size()) break;
    const char next = text[at + depth];
    const auto byte_less = [depth](const AddedToken& t, char b) {
      return static_cast<uint8_t>(t.content[depth]) < static_cast<uint8_t>(b);
    };
    const auto less_byte = [depth](char b, const AddedToken& t) {
      return static_cast<uint8_t>(b) < static_cast<uint8_t>(t.content[depth]);
    };
    if (first == last) break;
    if (first->content[depth] == next && (last - 1)->content[depth] == next) continue;  // the usual case: no search
    first = std::lower_bound(first, last, next, byte_less);
    last = std::upper_bound(first, last, next, less_byte);
  }
  return longest;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::Finder::Next() {
  const size_t size = text_.size();
  while (search_ + matcher_.shortest_ <= size) {
    const Range range = matcher_.by_first_byte_[static_cast<uint8_t>(text_[search_])];
    const AddedToken* token = range.first == range.last ? nullptr : matcher_.LongestAt(text_, search_);
    if (token == nullptr) {
      ++search_;
      continue;
    }
    size_t begin = search_;
    size_t end = search_ + token->content.size();
    // Whatever the flags decide, the search continues after the token's content, as in huggingface/tokenizers.
    search_ = end;
    if (token->special && !parse_special_) continue;
    if (token->single_word && (WordBefore(text_, begin) || WordAfter(text_, end))) continue;
    if (token->lstrip) begin = SkipSpaceBackward(text_, begin, taken_);
    if (token->rstrip) {
      // Tokens of white space can need the same run again and again: scan it once.
      if (end < run_begin_ || end > run_end_) {
        run_begin_ = end;
        run_end_ = SkipSpaceForward(text_, end);
      }
      end = run_end_;
    }
    taken_ = end;
    return Match{token->id, std::min(begin, end), end};
  }
  return std::nullopt;
}

}  // namespace stablelm
