// Parses any bytes as a GGUF file, and its tokenizer: it is read or refused with an Error; all byte ranges of the
// result are inside the file, and its blocks can be decoded.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "ops/quant/quant_row.h"

namespace {

using namespace stablelm;

// Reads every byte of the range, so that AddressSanitizer checks it.
uint64_t Sum(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<uint64_t>(b);
  return sum;
}

void Use(const GgufHeader& header, std::span<const std::byte> file) {
  uint64_t sum = 0;
  GgufMetadata metadata;
  for (const GgufEntry& entry : header.entries) {
    STABLELM_CHECK(header.Find(entry.key) == &entry);
    sum += Sum(entry.encoded);
    if (const auto* text = std::get_if<std::string_view>(&entry.value)) sum += Sum(std::as_bytes(std::span(*text)));
    if (const auto* array = std::get_if<GgufArray>(&entry.value)) {
      if (array->type == GgufType::kString) {
        for (const std::string_view text : array->Strings()) sum += Sum(std::as_bytes(std::span(text)));
      } else if (const auto values = array->Integers()) {
        STABLELM_CHECK(values->size() == array->size);
      }
    }
    if (entry.type == GgufType::kF32) sum += header.Real(entry.key) > 0 ? 1 : 0;
    if (header.entries.size() < 100) metadata.Copy(entry);
  }
  for (const StoredTensor& tensor : header.tensors) {
    STABLELM_CHECK(tensor.offset >= header.data_begin && tensor.offset % header.alignment == 0);
    STABLELM_CHECK(tensor.offset <= file.size() && tensor.bytes <= file.size() - tensor.offset);
    sum += Sum(file.subspan(tensor.offset, tensor.bytes));
    if (!tensor.dtype) continue;
    STABLELM_CHECK(BytesOf(*tensor.dtype, tensor.shape.NumElements()) == tensor.bytes);
    if (!IsQuantized(*tensor.dtype)) continue;
    std::vector<float> values(static_cast<size_t>(tensor.shape.NumElements()));
    DecodeRow(*tensor.dtype, file.data() + tensor.offset, values);
  }
  STABLELM_CHECK(header.entries.size() >= 100 || metadata.entries().size() == header.entries.size());
  volatile uint64_t keep = sum;
  static_cast<void>(keep);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    const GgufHeader header = ParseGguf(file, "fuzz");
    Use(header, file);
    // An embedded tokenizer.json has a fuzzer of its own.
    if (HasGgufTokenizer(header) && !header.Find("tokenizer.huggingface.json")) ReadGgufTokenizer(header);
  } catch (const Error&) {
  }
  return 0;
}
