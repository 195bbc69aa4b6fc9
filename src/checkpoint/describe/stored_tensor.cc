#include "checkpoint/describe/stored_tensor.h"

#include <array>
#include <cstring>

#include "base/error.h"

namespace stablelm {

void GatherTensor(const StoredTensor& tensor, std::span<const std::byte> file, std::span<std::byte> out) {
  STABLELM_CHECK(tensor.dtype && out.size() == tensor.bytes);
  if (tensor.bytes == 0) return;
  const std::byte* first = file.data() + tensor.offset;
  if (tensor.contiguous()) {
    std::memcpy(out.data(), first, out.size());
    return;
  }
  const size_t size = BytesOf(*tensor.dtype);
  const size_t rank = tensor.shape.rank();
  std::array<int64_t, Shape::kMaxRank> index{};
  std::byte* to = out.data();
  uint64_t element = 0;  // offset of the current element, in elements
  for (;;) {
    std::memcpy(to, first + element * size, size);
    to += size;
    size_t k = rank;  // increment the index like an odometer
    while (k > 0) {
      --k;
      const auto stride = static_cast<uint64_t>(tensor.strides[k]);
      if (++index[k] < tensor.shape[k]) {
        element += stride;
        break;
      }
      element -= stride * static_cast<uint64_t>(tensor.shape[k] - 1);
      index[k] = 0;
      if (k == 0) return;
    }
    if (rank == 0) return;
  }
}

}  // namespace stablelm
