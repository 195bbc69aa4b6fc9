// Where a text ends: after a stop id, or before a stop string.
//
// Works on the text as it streams: nothing of a stop string is ever given out, however its bytes are spread over
// tokens, and what cannot be part of one is given out at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "generate/text_stream.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Finds the first of several strings in text that comes in pieces. The first is the one whose end comes first, and of
// those that end together the longest; so how the text is cut into pieces changes nothing. Copies are cheap.
class StopStrings {
 public:
  // Throws Error that names `where`: an empty string, one that is not UTF-8, too many or too long ones.
  explicit StopStrings(std::vector<std::string> strings, const std::string& where = "stop");

  // Appends to `out` what can be given out now. Returns the number of the string that was found; its bytes and what
  // follows them are gone, and nothing may be added any more.
  std::optional<size_t> Add(std::string_view text, std::string& out);
  // The text is over: what was held back comes out. Everything is then as new.
  void Finish(std::string& out);

  const std::vector<std::string>& strings() const { return patterns_->strings; }
  size_t held_back() const { return held_.size(); }

 private:
  // Knuth-Morris-Pratt: borders[s][n] is the longest proper prefix of strings[s] that ends its first n bytes.
  struct Patterns {
    std::vector<std::string> strings;
    std::vector<std::vector<uint32_t>> borders;
  };
  std::shared_ptr<const Patterns> patterns_;  // shared by copies
  std::vector<uint32_t> matched_;             // per string: how many of its bytes end the text so far
  std::string held_;                          // the end of the text that may be the beginning of a stop string
};

struct StopSettings {
  std::vector<int32_t> ids = {};          // the text ends after one of these; it has no text itself
  std::vector<std::string> strings = {};  // the text ends before one of these; needs a tokenizer
};

// What ended a text.
struct StopCause {
  std::optional<int32_t> id = {};
  std::optional<std::string> string = {};
  bool Found() const { return id || string; }
};

// The text of one request while its tokens come. One thread; copyable, a copy goes on by itself.
class StoppedText {
 public:
  // Without a tokenizer there is no text, and stop strings are an Error. `where` goes before the field in errors.
  StoppedText(std::optional<Tokenizer> tokenizer, const StopSettings& settings, const std::string& where = {});

  // The text that the token lets out. Nothing may be added after Cause().Found().
  std::string Add(int32_t id);
  // What was held back, when the text ended for another reason; nothing after a stop string.
  std::string Finish();
  const StopCause& Cause() const { return cause_; }

 private:
  void Pass(std::string_view text, std::string& out);
  std::vector<int32_t> ids_;
  std::optional<TextStream> stream_;
  StopStrings strings_;
  StopCause cause_;
};

}  // namespace stablelm
