#include "cli/terminal/visible_text.h"

#include <cstdio>

#include "base/utf8.h"

namespace stablelm {

std::string Visible(std::string_view bytes) {
  const std::string text = utf8::ReplaceInvalid(bytes);
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const utf8::Decoded one = utf8::DecodeOne(rest);
    const bool control = (one.code_point < 0x20 && one.code_point != '\n' && one.code_point != '\t') ||
                         (one.code_point >= 0x7F && one.code_point < 0xA0);
    if (control) {
      char shown[8];
      std::snprintf(shown, sizeof shown, "\\x%02X", static_cast<unsigned>(one.code_point));
      out += shown;
    } else {
      out += rest.substr(0, one.bytes);
    }
    rest.remove_prefix(one.bytes);
  }
  return out;
}

}  // namespace stablelm
