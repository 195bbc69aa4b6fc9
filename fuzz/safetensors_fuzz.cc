// Parses any bytes as a safetensors file: it is read or refused with an Error; all byte ranges of the result are inside
// the file.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "checkpoint/huggingface/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  try {
    const SafetensorsHeader header = ParseSafetensors(std::as_bytes(std::span(data, size)), "fuzz");
    uint64_t position = header.data_begin;
    for (const StoredTensor& tensor : header.tensors) {
      STABLELM_CHECK(tensor.offset == position);
      position += tensor.bytes;
      if (tensor.dtype) {
        STABLELM_CHECK(static_cast<uint64_t>(tensor.shape.NumElements()) * BytesOf(*tensor.dtype) == tensor.bytes);
      }
    }
    STABLELM_CHECK(position == size);
  } catch (const Error&) {
  }
  return 0;
}
