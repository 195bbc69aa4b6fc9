// The tokens of a tokenizer by id and by spelling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Immutable after construction. Ids are 0 .. size() - 1 without gaps; no spelling is empty of an id or occurs twice.
class Vocabulary {
 public:
  Vocabulary() = default;
  // spellings[id], as the file writes them (byte symbols); only read during the call. Throws Error when one occurs
  // twice; `where` names the file.
  Vocabulary(std::span<const std::string_view> spellings, const std::string& where);

  int32_t size() const { return static_cast<int32_t>(spelling_begins_.size() - 1); }
  std::string_view Spelling(int32_t id) const { return Slice(spellings_, spelling_begins_, id); }
  // The bytes that the token stands for in text. kReadable bytes may be read where they begin, however few they are.
  static constexpr size_t kReadable = 16;
  std::string_view Bytes(int32_t id) const { return Slice(bytes_, bytes_begins_, id); }
  std::optional<int32_t> Find(std::string_view spelling) const;

 private:
  static std::string_view Slice(const std::string& arena, const std::vector<uint32_t>& begins, int32_t id) {
    const size_t i = static_cast<size_t>(id);
    return {arena.data() + begins[i], begins[i + 1] - begins[i]};
  }
  // Slot that holds `spelling`, or the free one where it would go.
  size_t SlotOf(std::string_view spelling) const;

  std::string spellings_;
  std::string bytes_;
  std::vector<uint32_t> spelling_begins_ = {0};  // [size() + 1]: where each begins, and the end
  std::vector<uint32_t> bytes_begins_ = {0};     // [size() + 1]
  std::vector<int32_t> slots_;                   // open addressing, -1 = free; a power of two, at most half full
};

}  // namespace stablelm
