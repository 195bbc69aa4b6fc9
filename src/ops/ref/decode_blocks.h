// The loop over a row's blocks that the plain decoders share.
#pragma once

#include <cstddef>
#include <span>

#include "base/error.h"
#include "ops/quant/blocks.h"

namespace stablelm {

// Calls decode(block, output) for every block of the row. `out` has a whole number of blocks.
template <typename Block, typename Decode>
void DecodeBlocks(const std::byte* row, std::span<float> out, const Decode& decode) {
  const size_t length = static_cast<size_t>(BlockElements(kDTypeOf<Block>));
  STABLELM_CHECK(out.size() % length == 0);
  for (size_t i = 0; i * length < out.size(); ++i) decode(LoadBlock<Block>(row, i), out.data() + i * length);
}

}  // namespace stablelm
