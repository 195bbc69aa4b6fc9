// Decodes a stream of bytes (token by token) to text that is valid UTF-8 after every call.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stablelm {

// The concatenated output equals utf8::ReplaceInvalid of the concatenated bytes: whole code points, U+FFFD for each
// maximal ill-formed subpart. Holds back at most 3 bytes, those that could still become a code point. For one stream on
// one thread.
class StreamDecoder {
 public:
  // Appends to `out` the text that `bytes` completes.
  void Append(std::string_view bytes, std::string& out);
  // Ends the stream: bytes held back become U+FFFD. Resets the decoder.
  void Finish(std::string& out);

  size_t held_back() const { return held_.size(); }

 private:
  std::string held_;
};

}  // namespace stablelm
