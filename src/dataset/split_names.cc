#include "dataset/split_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/ascii.h"

namespace stablelm {
namespace {

using Word = std::pair<std::string_view, std::string_view>;
constexpr std::array<Word, 10> kWords = {{{"train", "train"},
                                          {"training", "train"},
                                          {"validation", "validation"},
                                          {"valid", "validation"},
                                          {"val", "validation"},
                                          {"dev", "validation"},
                                          {"test", "test"},
                                          {"testing", "test"},
                                          {"eval", "test"},
                                          {"evaluation", "test"}}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordCharacter(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The split that a word is a name of; empty: none.
std::string_view SplitOfWord(std::string_view word) {
  for (const auto& [name, split] : kWords) {
    if (name == word) return split;
  }
  return {};
}

// The first split that a word of the text names.
std::string_view FirstSplit(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsWordCharacter(text[end])) ++end;
    if (const std::string_view split = SplitOfWord(text.substr(i, end - i)); !split.empty()) return split;
    i = end + 1;
  }
  return {};
}

bool ContainsWhole(std::string_view text, std::string_view part) {
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    const size_t end = at + part.size();
    if ((at == 0 || !IsWordCharacter(text[at - 1])) && (end == text.size() || !IsWordCharacter(text[end]))) return true;
  }
  return false;
}

std::string_view Canonical(std::string_view split) {
  const std::string_view known = SplitOfWord(split);
  return known.empty() ? split : known;
}

// One folder's or file's name, in lower case. `exact`: it is a split's name, or something else altogether.
SplitMatch MatchPart(std::string_view part, std::string_view split, bool exact) {
  if (split.empty() || part.empty()) return SplitMatch::kUntold;
  if (part == split || (!exact && ContainsWhole(part, split))) return SplitMatch::kWanted;
  const std::string_view told = FirstSplit(part);
  if (told.empty()) return SplitMatch::kUntold;
  const bool is_wanted = exact ? SplitOfWord(part) == Canonical(split) : told == Canonical(split);
  return is_wanted ? SplitMatch::kWanted : SplitMatch::kOther;
}

std::optional<uint64_t> Number(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<ShardName> ParseShardName(std::string_view path) {
  const size_t name = path.rfind('/') + 1;
  const size_t of = path.rfind("-of-");
  if (of == std::string_view::npos || of < name) return std::nullopt;
  size_t begin = of;
  while (begin > name && IsDigit(path[begin - 1])) --begin;
  size_t end = of + 4;
  while (end < path.size() && IsDigit(path[end])) ++end;
  const bool ends_there = end == path.size() || path[end] == '.' || path[end] == '-';
  if (begin == name || path[begin - 1] != '-' || !ends_there) return std::nullopt;
  const std::optional<uint64_t> index = Number(path.substr(begin, of - begin));
  const std::optional<uint64_t> count = Number(path.substr(of + 4, end - of - 4));
  if (!index || !count || *index >= *count) return std::nullopt;
  return ShardName{std::string(path.substr(0, begin - 1)), *index, *count};
}

SplitMatch MatchSplit(std::string_view path, std::string_view split) {
  const std::string wanted = LowerAscii(split);
  const std::optional<ShardName> shard = ParseShardName(path);
  std::string rest =
      LowerAscii(shard ? shard->base : path.substr(0, std::min(path.find('.', path.rfind('/') + 1), path.size())));
  for (bool is_file = true; !rest.empty(); is_file = false) {
    const size_t begin = rest.rfind('/') + 1;
    const SplitMatch match = MatchPart(std::string_view(rest).substr(begin), wanted, shard && is_file);
    if (match != SplitMatch::kUntold) return match;
    rest.resize(begin > 0 ? begin - 1 : 0);
  }
  return SplitMatch::kUntold;
}

}  // namespace stablelm
