// Parses any bytes as a PyTorch file (zip container, legacy sequence, the pickles inside): it is read or refused with
// an Error; all elements of all tensors can be gathered. AddressSanitizer detects reads outside the input.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  try {
    for (const StoredTensor& tensor : ParseTorchFile(file, "fuzz").tensors) {
      STABLELM_CHECK(tensor.bytes <= size);
      std::vector<std::byte> bytes(tensor.bytes);
      GatherTensor(tensor, file, bytes);
    }
    CheckTorchStorages(file, "fuzz");
  } catch (const Error&) {
  }
  // The checksum of data.pkl keeps most inputs from the pickle reader, so also parse the bytes directly as a pickle.
  for (const pickle::Ids ids : {pickle::Ids::kZip, pickle::Ids::kLegacy}) {
    try {
      size_t consumed = 0;
      pickle::Read(file, ids, "fuzz", &consumed);
      STABLELM_CHECK(consumed <= size);
    } catch (const Error&) {
    }
  }
  return 0;
}
