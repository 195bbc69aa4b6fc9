// Streams the text of generated tokens: whole characters, without stop tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// One stream, one thread. The concatenated results of all calls are Tokenizer::Decode of all ids except stop ids.
class TextStream {
 public:
  TextStream(Tokenizer tokenizer, std::vector<int32_t> stop_ids)
      : tokenizer_(std::move(tokenizer)), stop_ids_(std::move(stop_ids)) {}

  std::string Add(int32_t id);
  std::string Finish();

 private:
  Tokenizer tokenizer_;
  std::vector<int32_t> stop_ids_;
  StreamDecoder decoder_;
};

}  // namespace stablelm
