// From bytes that come in pieces (token by token) to text that is valid UTF-8 at every moment.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stablelm {

// What all calls return, joined, equals utf8::ReplaceInvalid of all bytes joined: whole code points, U+FFFD per maximal
// ill-formed subpart. At most 3 bytes are held back, those that could still become a code point. One stream, one
// thread.
class StreamDecoder {
 public:
  // Appends the text that `bytes` completes to `out`.
  void Append(std::string_view bytes, std::string& out);
  // Ends the stream: what is held back comes out as U+FFFD. The decoder is then as new.
  void Finish(std::string& out);

  size_t held_back() const { return held_.size(); }

 private:
  std::string held_;
};

}  // namespace stablelm
