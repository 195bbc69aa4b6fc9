#include "dataset/read/json_text.h"

#include <simdjson.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Bytes that a JSON string writes as escapes.
constexpr std::array<bool, 256> kEscaped = [] {
  std::array<bool, 256> escaped = {};
  for (size_t c = 0; c < 0x20; ++c) escaped[c] = true;
  escaped['"'] = escaped['\\'] = true;
  return escaped;
}();

// The unit of the escape "\uXXXX" that `text` begins with.
std::optional<uint32_t> UnitAt(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  uint32_t unit = 0;
  for (size_t i = 2; i < 6; ++i) {
    const char c = text[i];
    const char lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      unit = unit * 16 + static_cast<uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      unit = unit * 16 + static_cast<uint32_t>(lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return unit;
}
bool IsHigh(uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLow(uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

// Calls `lone(offset)` for each escape of a surrogate without its other half.
template <typename F>
void FindLoneSurrogates(std::string_view text, const F& lone) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* p = begin;
  while (p < end && (p = static_cast<const char*>(std::memchr(p, '\\', static_cast<size_t>(end - p))))) {
    // Texts in other scripts may be nothing but escapes: no search from one to the next.
    while (p < end && *p == '\\') {
      if (end - p < 6 || p[1] != 'u') {
        p += 2;
        continue;
      }
      if ((p[2] | 0x20) != 'd') {
        // The digits, but no backslash in their place.
        p += p[2] == '\\' ? 2 : p[3] == '\\' ? 3 : p[4] == '\\' ? 4 : p[5] == '\\' ? 5 : 6;
        continue;
      }
      const size_t at = static_cast<size_t>(p - begin);
      const std::optional<uint32_t> unit = UnitAt(text.substr(at));
      p += unit ? 6 : 2;
      if (!unit || (!IsHigh(*unit) && !IsLow(*unit))) continue;
      if (IsHigh(*unit)) {
        const std::optional<uint32_t> next = UnitAt(text.substr(at + 6));
        if (next && IsLow(*next)) {
          p += 6;
          continue;
        }
      }
      lone(at);
    }
  }
}

uint64_t ReplaceIllFormed(std::string_view text, std::string& out) {
  uint64_t count = 0;
  while (!text.empty()) {
    const size_t bad = utf8::FirstInvalid(text);
    out.append(text.substr(0, bad));
    if (bad == utf8::kValid) break;
    text.remove_prefix(bad);
    out += kReplacement;
    ++count;
    text.remove_prefix(utf8::DecodeOne(text).bytes);
  }
  return count;
}

}  // namespace

uint64_t RepairJson(std::string_view json, std::string& out) {
  uint64_t repairs = 0;
  std::string_view text = json;
  if (!simdjson::validate_utf8(json)) {
    out.clear();
    repairs += ReplaceIllFormed(json, out);
    text = out;
  }
  size_t lone = 0;
  FindLoneSurrogates(text, [&](size_t at) {
    if (++lone == 1 && repairs == 0) out.assign(text);
    std::memcpy(out.data() + at, "\\ufffd", 6);
  });
  return repairs + lone;
}

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  const char* p = text.data();
  const char* const end = p + text.size();
  while (true) {
    const char* const plain = p;
    while (p < end && !kEscaped[static_cast<uint8_t>(*p)]) ++p;
    out.append(plain, p);
    if (p == end) break;
    const uint8_t c = static_cast<uint8_t>(*p++);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out.append("\\u00").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    }
  }
  out += '"';
}

}  // namespace stablelm
