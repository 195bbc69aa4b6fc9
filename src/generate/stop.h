// Finds the end of a text: after a stop id, or before a stop string.
//
// Works on streamed text: never emits a part of a stop string, however its bytes are spread over tokens, and emits
// everything else immediately.
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

// Finds the first of several strings in text that arrives in pieces. The first is the one that ends first, and the
// longest of those that end together, so the result does not depend on the pieces. Copies are cheap.
class StopStrings {
 public:
  // Throws Error that names `where` for an empty string, invalid UTF-8, and too many or too long strings.
  explicit StopStrings(std::vector<std::string> strings, const std::string& where = "stop");

  // Appends to `out` the text that can be emitted now. Returns the index of the stop string that was found; its bytes
  // and the text after it are dropped, and Add must not be called again.
  std::optional<size_t> Add(std::string_view text, std::string& out);
  // End of the text: emits the text held back and resets the object.
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
  std::vector<uint32_t> matched_;             // per string: how many of its first bytes the text so far ends with
  std::string held_;                          // end of the text that may be the start of a stop string
};

struct StopSettings {
  std::vector<int32_t> ids = {};          // the text ends after one of these, which has no text itself
  std::vector<std::string> strings = {};  // the text ends before one of these; needs a tokenizer
};

// The stop id or stop string that ended a text.
struct StopCause {
  std::optional<int32_t> id = {};
  std::optional<std::string> string = {};
  bool Found() const { return id || string; }
};

// Decodes the text of one request token by token. One thread; copies are independent.
class StoppedText {
 public:
  // Without a tokenizer there is no text, and stop strings are an Error. `where` is a prefix of the field name in
  // errors.
  StoppedText(std::optional<Tokenizer> tokenizer, const StopSettings& settings, const std::string& where = {});

  // Returns the text that can be emitted after this token. Must not be called after Cause().Found().
  std::string Add(int32_t id);
  // Returns the text held back, when the text ended for another reason; empty after a stop string.
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
