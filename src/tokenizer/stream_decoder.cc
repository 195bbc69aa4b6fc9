#include "tokenizer/stream_decoder.h"

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

void StreamDecoder::Append(std::string_view bytes, std::string& out) {
  std::string joined;
  if (!held_.empty()) {
    joined = held_;
    joined.append(bytes);
    bytes = joined;
    held_.clear();
  }
  while (!bytes.empty()) {
    const size_t bad = utf8::FirstInvalid(bytes);
    out.append(bytes.substr(0, bad));
    if (bad == utf8::kValid) break;
    bytes.remove_prefix(bad);
    const utf8::Decoded d = utf8::DecodeOne(bytes);
    if (d.incomplete) {
      held_ = bytes;
      break;
    }
    out += kReplacement;
    bytes.remove_prefix(d.bytes);
  }
}

void StreamDecoder::Finish(std::string& out) {
  // The bytes held back are one incomplete sequence: one maximal subpart.
  if (!held_.empty()) out += kReplacement;
  held_.clear();
}

}  // namespace stablelm
