// The vocabulary: finds tokens by id and by spelling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Immutable after construction. Ids are 0 .. size() - 1 without gaps; each id has its own spelling.
class Vocabulary {
 public:
  Vocabulary() = default;
  // spellings[id] as in the file (byte symbols); read only during the call. Throws Error if one occurs twice; `where`
  // names the file.
  Vocabulary(std::span<const std::string_view> spellings, const std::string& where);

  int32_t size() const { return static_cast<int32_t>(spelling_begins_.size() - 1); }
  std::string_view Spelling(int32_t id) const { return Slice(spellings_, spelling_begins_, id); }
  // The token's bytes in text. At least kReadable bytes may be read from their start, even if the token is shorter.
  static constexpr size_t kReadable = 16;
  std::string_view Bytes(int32_t id) const { return Slice(bytes_, bytes_begins_, id); }
  std::optional<int32_t> Find(std::string_view spelling) const;

 private:
  static std::string_view Slice(const std::string& arena, const std::vector<uint32_t>& begins, int32_t id) {
    const size_t i = static_cast<size_t>(id);
    return {arena.data() + begins[i], begins[i + 1] - begins[i]};
  }
  // The slot that holds `spelling`, or the free slot for it.
  size_t SlotOf(std::string_view spelling) const;

  std::string spellings_;
  std::string bytes_;
  std::vector<uint32_t> spelling_begins_ = {0};  // [size() + 1]: start offsets, then the end
  std::vector<uint32_t> bytes_begins_ = {0};     // [size() + 1]
  std::vector<int32_t> slots_;  // hash table with open addressing, -1 = free; power-of-two size, at most half full
};

}  // namespace stablelm
