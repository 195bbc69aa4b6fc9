#include "dataset/read/json_value_end.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace stablelm {
namespace {

enum class Byte : uint8_t { kOther, kQuote, kOpen, kClose };

constexpr std::array<Byte, 256> kBytes = [] {
  std::array<Byte, 256> bytes = {};
  bytes['"'] = Byte::kQuote;
  bytes['{'] = bytes['['] = Byte::kOpen;
  bytes['}'] = bytes[']'] = Byte::kClose;
  return bytes;
}();

}  // namespace

void JsonValueEnd::Start() {
  open_.clear();
  braces_ = deeper_ = position_ = 0;
  kind_ = Kind::kNone;
  in_string_ = escaped_ = broken_string_ = false;
}

JsonValueEnd::Found JsonValueEnd::Scan(std::string_view text) {
  if (text.empty()) return Found::kMore;
  if (kind_ == Kind::kNone) {
    const Byte first = kBytes[static_cast<uint8_t>(text[0])];
    kind_ = first == Byte::kQuote ? Kind::kString : first == Byte::kOpen ? Kind::kContainer : Kind::kScalar;
    if (kind_ == Kind::kScalar) position_ = 1;
  }
  if (kind_ == Kind::kScalar) {
    position_ = text.find_first_of(",[]{\"\n", position_);
    if (position_ != std::string_view::npos) return Found::kEnd;
    position_ = text.size();
    return Found::kMore;
  }
  while (true) {
    if (in_string_) {
      if (!ScanString(text)) return broken_string_ ? Found::kBrokenString : Found::kMore;
      if (kind_ == Kind::kString) return Found::kEnd;
    }
    const char* p = text.data() + position_;
    const char* const end = text.data() + text.size();
    while (p < end && kBytes[static_cast<uint8_t>(*p)] == Byte::kOther) ++p;
    position_ = static_cast<size_t>(p - text.data());
    if (p == end) return Found::kMore;
    ++position_;
    switch (kBytes[static_cast<uint8_t>(*p)]) {
      case Byte::kQuote:
        in_string_ = true;
        break;
      case Byte::kOpen:
        Open(*p);
        break;
      default:
        Close(*p);
        if (Closed()) return Found::kEnd;
    }
  }
}

bool JsonValueEnd::ScanString(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* p = text.data() + position_;
  while (true) {
    if (escaped_ && p < end && *p != '\n') {
      ++p;
      escaped_ = false;
    }
    if (p == end) break;
    const char* quote = static_cast<const char*>(std::memchr(p, '"', static_cast<size_t>(end - p)));
    const char* const stop = quote ? quote : end;
    if (const void* newline = std::memchr(p, '\n', static_cast<size_t>(stop - p))) {
      position_ = static_cast<size_t>(static_cast<const char*>(newline) - text.data());
      broken_string_ = true;
      return false;
    }
    size_t backslashes = 0;
    while (stop - backslashes > p && stop[-1 - static_cast<ptrdiff_t>(backslashes)] == '\\') ++backslashes;
    escaped_ = backslashes % 2 == 1;
    p = stop;
    if (!quote) break;
    if (!escaped_) {
      in_string_ = false;
      position_ = static_cast<size_t>(quote + 1 - text.data());
      return true;
    }
  }
  position_ = text.size();
  return false;
}

void JsonValueEnd::Open(char bracket) {
  if (open_.size() == kMostLevels) {
    ++deeper_;
    return;
  }
  open_.push_back(bracket == '{' ? '}' : ']');
  if (bracket == '{') ++braces_;
}

void JsonValueEnd::Close(char bracket) {
  if (deeper_ > 0) {
    --deeper_;
    return;
  }
  if ((bracket == '}' ? braces_ : open_.size() - braces_) == 0) return;
  while (true) {
    const char last = open_.back();
    open_.pop_back();
    if (last == '}') --braces_;
    if (last == bracket) return;
  }
}

}  // namespace stablelm
