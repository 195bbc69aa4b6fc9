// Parses any bytes as a tokenizer.json: it is refused with an Error, or gives a tokenizer whose contracts hold when it
// encodes and decodes.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace stablelm;

constexpr std::string_view kTexts[] = {
    "Hello, world! don't  \t\n\n x   ", "<|USER|>e\xCC\x81\xCC\xA3 \xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB <s>  </s>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\xF0\x9F\x98\x80\xE4\xBD\xA0 \xC2\xA0"};

void Use(const Tokenizer& tokenizer) {
  for (const bool parse_special : {false, true}) {
    for (const std::string_view text : kTexts) {
      const Encoding encoding = tokenizer.EncodeWithOffsets(text, {.parse_special = parse_special});
      STABLELM_CHECK(encoding.ids == tokenizer.Encode(text, {.parse_special = parse_special}));
      STABLELM_CHECK(encoding.ids.size() == encoding.offsets.size());
      for (const ByteRange& range : encoding.offsets) {
        STABLELM_CHECK(range.begin <= range.end && range.end <= text.size());
      }
      StreamDecoder decoder;
      std::string streamed;
      for (const int32_t id : encoding.ids) decoder.Append(tokenizer.TokenBytes(id), streamed);
      decoder.Finish(streamed);
      STABLELM_CHECK(streamed == tokenizer.Decode(encoding.ids));
      STABLELM_CHECK(utf8::FirstInvalid(streamed) == utf8::kValid);
    }
  }
  for (int32_t id = 0; id < tokenizer.size() && id < 1000; ++id) {
    STABLELM_CHECK(tokenizer.TokenId(tokenizer.TokenSpelling(id)) == id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    Use(Tokenizer::FromJson({reinterpret_cast<const char*>(data), size}, "fuzz"));
  } catch (const Error&) {
  }
  return 0;
}
