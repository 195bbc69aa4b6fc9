#include "base/error.h"

#include <cstdio>
#include <cstdlib>

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr std::string_view kHint = "\nhint:  ";

}  // namespace

Error::Error(ErrorInfo info) : info_(std::move(info)) {
  if (!info_.where.empty()) text_ += info_.where + ": ";
  text_ += info_.what;
  if (!info_.found.empty()) text_ += ": found " + info_.found;
  if (!info_.expected.empty()) text_ += (info_.found.empty() ? ": expected " : ", expected ") + info_.expected;
  if (!info_.hint.empty()) text_.append(kHint).append(info_.hint);
}

std::string Error::Line() const {
  return info_.hint.empty() ? text_ : text_.substr(0, text_.size() - info_.hint.size() - kHint.size());
}

std::string Joined(std::span<const std::string> words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : between).append(word);
  return text;
}

std::string Quoted(std::string_view text, size_t max_bytes) {
  std::string out = "\"";
  size_t i = 0;
  while (i < text.size() && out.size() < max_bytes) {
    const utf8::Decoded d = utf8::DecodeOne(text.substr(i));
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (!d.valid || c < 0x20 || c == 0x7F) {
      for (size_t k = 0; k < d.bytes; ++k) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "\\x%02X", static_cast<unsigned char>(text[i + k]));
        out += hex;
      }
    } else {
      out.append(text.substr(i, d.bytes));
    }
    i += d.bytes;
  }
  return out + (i < text.size() ? "...\"" : "\"");
}

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: internal check failed: %s (this is a bug in stablelm)\n", file, line, condition);
  std::abort();
}

}  // namespace stablelm
