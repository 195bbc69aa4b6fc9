#include "tokenizer/vocabulary.h"

#include <bit>
#include <functional>

#include "base/error.h"
#include "base/read_error.h"
#include "tokenizer/byte_symbols.h"

namespace stablelm {

Vocabulary::Vocabulary(std::span<const std::string_view> spellings, const std::string& where) {
  size_t total = 0;
  for (const std::string_view s : spellings) total += s.size();
  if (total > UINT32_MAX || spellings.size() > size_t{1} << 30) {
    throw Error({.where = where,
                 .what = "vocabulary too large",
                 .found = std::to_string(total) + " bytes",
                 .expected = "at most 4 GiB",
                 .hint = kDamagedFileHint});
  }
  spellings_.reserve(total);
  bytes_.reserve(total + kReadable);
  spelling_begins_.reserve(spellings.size() + 1);
  bytes_begins_.reserve(spellings.size() + 1);
  slots_.assign(std::bit_ceil(2 * spellings.size() + 2), -1);
  for (const std::string_view s : spellings) {
    const int32_t id = size();
    int32_t& slot = slots_[SlotOf(s)];
    if (slot >= 0) {
      throw Error({.where = where,
                   .what = "token " + Quoted(s) + " occurs twice",
                   .found = "ids " + std::to_string(slot) + " and " + std::to_string(id),
                   .hint = kDamagedFileHint});
    }
    slot = id;
    spellings_.append(s);
    AppendSpelledBytes(s, bytes_);
    spelling_begins_.push_back(static_cast<uint32_t>(spellings_.size()));
    bytes_begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  bytes_.append(kReadable, '\0');
}

std::optional<int32_t> Vocabulary::Find(std::string_view spelling) const {
  if (slots_.empty()) return std::nullopt;
  const int32_t id = slots_[SlotOf(spelling)];
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

size_t Vocabulary::SlotOf(std::string_view spelling) const {
  const size_t mask = slots_.size() - 1;
  size_t i = std::hash<std::string_view>{}(spelling)&mask;
  while (slots_[i] >= 0 && Spelling(slots_[i]) != spelling) i = (i + 1) & mask;
  return i;
}

}  // namespace stablelm
