// Turns the bytes of a terminal into keys and pasted texts.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

struct TerminalKey {
  enum class Kind {
    kCharacter,  // `code_point`; U+FFFD for each byte sequence that is not UTF-8
    kSequence,   // `text`: an escape sequence without modifiers, as it came
    kPaste,      // `text`: UTF-8 with \n as line end, and without control characters but \n and \t
    kWordLeft,
    kWordRight,
    kHome,
    kEnd,
  };
  Kind kind = Kind::kCharacter;
  char32_t code_point = 0;
  std::string text = {};
};

class KeyDecoder {
 public:
  void Add(char byte) { bytes_ += byte; }
  // The next key, or none when more bytes are needed. `idle`: none have come for a while, so an escape or an incomplete
  // character stands alone. Skips escape sequences of unknown keys.
  std::optional<TerminalKey> Next(bool idle);
  bool pending() const { return !bytes_.empty(); }

 private:
  std::optional<TerminalKey> Sequence(bool idle);
  std::string bytes_;
};

}  // namespace stablelm
