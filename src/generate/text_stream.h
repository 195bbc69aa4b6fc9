// The text of generated tokens while they come: whole characters, stop tokens left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// One stream, one thread. What all calls return, joined, is Tokenizer::Decode of all ids but the stop ids.
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
