#include "generate/text_stream.h"

#include <algorithm>

namespace stablelm {

std::string TextStream::Add(int32_t id) {
  std::string text;
  if (std::find(stop_ids_.begin(), stop_ids_.end(), id) == stop_ids_.end()) {
    decoder_.Append(tokenizer_.TokenBytes(id), text);
  }
  return text;
}

std::string TextStream::Finish() {
  std::string text;
  decoder_.Finish(text);
  return text;
}

}  // namespace stablelm
