#include "cli/terminal/key_decoder.h"

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr char kEscape = '\033';
constexpr std::string_view kPasteBegins = "\033[200~", kPasteEnds = "\033[201~";

// Line ends of all kinds become \n; other control characters become spaces.
std::string CleanPaste(std::string_view bytes) {
  const std::string text = utf8::ReplaceInvalid(bytes);
  std::string clean;
  for (std::string_view rest = text; !rest.empty();) {
    const utf8::Decoded one = utf8::DecodeOne(rest);
    const char32_t c = one.code_point;
    if (rest.starts_with("\r\n")) {
      rest.remove_prefix(1);
      continue;
    }
    if (c == '\r') {
      clean += '\n';
    } else if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0)) {
      clean += ' ';
    } else {
      clean += rest.substr(0, one.bytes);
    }
    rest.remove_prefix(one.bytes);
  }
  while (clean.ends_with('\n')) clean.pop_back();
  return clean;
}

// What "\033[" + `rest` + final byte means. `rest` holds the parameters.
std::optional<TerminalKey> KeyOf(std::string_view rest, char final_byte) {
  using Kind = TerminalKey::Kind;
  if (final_byte == '~') {
    if (rest == "1" || rest == "7") return TerminalKey{.kind = Kind::kHome};
    if (rest == "4" || rest == "8") return TerminalKey{.kind = Kind::kEnd};
    if (rest == "3") return TerminalKey{.kind = Kind::kSequence, .text = "\033[3~"};
    return std::nullopt;
  }
  if (rest.empty()) {
    return TerminalKey{.kind = Kind::kSequence, .text = std::string("\033[") + final_byte};
  }
  // With Ctrl, Alt or Shift: "1;5C".
  if (final_byte == 'C') return TerminalKey{.kind = Kind::kWordRight};
  if (final_byte == 'D') return TerminalKey{.kind = Kind::kWordLeft};
  if (final_byte == 'H') return TerminalKey{.kind = Kind::kHome};
  if (final_byte == 'F') return TerminalKey{.kind = Kind::kEnd};
  return std::nullopt;
}

}  // namespace

std::optional<TerminalKey> KeyDecoder::Next(bool idle) {
  while (!bytes_.empty()) {
    if (bytes_.front() == kEscape) {
      const size_t before = bytes_.size();
      if (std::optional<TerminalKey> key = Sequence(idle)) return key;
      if (bytes_.size() == before) return std::nullopt;  // incomplete
      continue;                                          // unknown
    }
    const utf8::Decoded one = utf8::DecodeOne(bytes_);
    if (one.incomplete && !idle) return std::nullopt;
    bytes_.erase(0, one.bytes);
    return TerminalKey{.code_point = one.code_point};
  }
  return std::nullopt;
}

std::optional<TerminalKey> KeyDecoder::Sequence(bool idle) {
  if (bytes_.starts_with(kPasteBegins)) {
    const size_t end = bytes_.find(kPasteEnds, kPasteBegins.size());
    if (end == std::string::npos) return std::nullopt;
    TerminalKey key = {
        .kind = TerminalKey::Kind::kPaste,
        .text = CleanPaste(std::string_view(bytes_).substr(kPasteBegins.size(), end - kPasteBegins.size()))};
    bytes_.erase(0, end + kPasteEnds.size());
    return key;
  }
  const auto alone = [&]() -> std::optional<TerminalKey> {
    bytes_.erase(0, 1);
    return TerminalKey{.code_point = static_cast<char32_t>(kEscape)};
  };
  if (bytes_.size() == 1) return idle ? alone() : std::nullopt;
  if (bytes_[1] == 'O') {  // keys of the application mode
    if (bytes_.size() == 2) return idle ? alone() : std::nullopt;
    TerminalKey key = {.kind = TerminalKey::Kind::kSequence, .text = bytes_.substr(0, 3)};
    bytes_.erase(0, 3);
    return key;
  }
  if (bytes_[1] != '[') return alone();  // Alt with a key
  size_t end = 2;
  while (end < bytes_.size() && bytes_[end] >= 0x20 && bytes_[end] < 0x40) ++end;
  if (end == bytes_.size()) return idle ? alone() : std::nullopt;
  const std::string parameters = bytes_.substr(2, end - 2);
  const char final_byte = bytes_[end];
  bytes_.erase(0, end + 1);
  return KeyOf(parameters, final_byte);
}

}  // namespace stablelm
