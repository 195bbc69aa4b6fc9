#include "cli/app/visible_text.h"

#include <cstdio>

#include "base/utf8.h"

namespace stablelm {

namespace {

// Writes control characters with `format`, which takes an unsigned.
std::string Escaped(std::string_view bytes, const char* format) {
  const std::string text = utf8::ReplaceInvalid(bytes);
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const utf8::Decoded one = utf8::DecodeOne(rest);
    const bool control = (one.code_point < 0x20 && one.code_point != '\n' && one.code_point != '\t') ||
                         (one.code_point >= 0x7F && one.code_point < 0xA0);
    if (control) {
      char shown[16];
      std::snprintf(shown, sizeof shown, format, static_cast<unsigned>(one.code_point));
      out += shown;
    } else {
      out += rest.substr(0, one.bytes);
    }
    rest.remove_prefix(one.bytes);
  }
  return out;
}

}  // namespace

std::string Visible(std::string_view bytes) { return Escaped(bytes, "\\x%02X"); }
std::string VisibleJson(std::string_view json) { return Escaped(json, "\\u%04X"); }

}  // namespace stablelm
