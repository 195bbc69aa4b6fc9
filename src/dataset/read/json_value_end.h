// Finds the end of a JSON value without parsing it: only brackets and strings count. Made for text that arrives in
// pieces and may be anything.
//
// In valid JSON the end is exact. In broken JSON a closing bracket also closes what was opened after its opening one
// and never closed, and is ignored when it has none, so that the end of the value is likely to be found even so.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace stablelm {

class JsonValueEnd {
 public:
  enum class Found {
    kEnd,           // position() is behind the value
    kMore,          // the value goes on after the text
    kBrokenString,  // a line ends inside a string, at position(): JSON writes \n there
  };
  // Forgets the value before.
  void Start();
  // `text` begins where the value does (its first byte is no white space) and holds at least what the calls before saw,
  // less what was forgotten. Goes on where the last call ended.
  Found Scan(std::string_view text);
  size_t position() const { return position_; }
  // The next text lacks its first `bytes` (<= position()) bytes.
  void Forget(size_t bytes) { position_ -= bytes; }

 private:
  static constexpr size_t kMostLevels = 1024;  // whose brackets are compared, as deep as simdjson parses
  bool ScanString(std::string_view text);      // to behind its end; false at the end of the text or of a line
  void Open(char bracket);
  void Close(char bracket);
  bool Closed() const { return open_.empty() && deeper_ == 0; }

  std::vector<char> open_;  // the closing brackets that are awaited
  size_t braces_ = 0;       // of them '}'
  size_t deeper_ = 0;       // levels beyond kMostLevels
  size_t position_ = 0;
  enum class Kind { kNone, kScalar, kString, kContainer } kind_ = Kind::kNone;  // of the value
  bool in_string_ = false;
  bool escaped_ = false;  // the next byte of the string is
  bool broken_string_ = false;
};

}  // namespace stablelm
