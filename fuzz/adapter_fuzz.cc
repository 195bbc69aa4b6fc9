// Parses any bytes as an adapter, an adapter_config.json up to the first zero byte and a safetensors file behind it: it
// is read or refused with an Error, and what matches a small model has its shapes, with all bytes inside the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "checkpoint/adapter/adapter_folder.h"
#include "checkpoint/huggingface/safetensors.h"

namespace {

stablelm::ModelConfig SmallModel() {
  stablelm::ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.n_layers = 1;
  config.n_heads = 2;
  config.intermediate_size = 12;
  config.max_positions = 16;
  config.rotary_dims = 2;
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  const size_t text_size = static_cast<size_t>(std::find(data, data + size, uint8_t{0}) - data);
  const std::string_view text(reinterpret_cast<const char*>(data), text_size);
  const auto file = std::as_bytes(std::span(data, size)).subspan(std::min(size, text_size + 1));
  try {
    AdapterConfig config = ParseAdapterConfig(text, "fuzz");
    STABLELM_CHECK(config.rank >= 1 && config.rank <= kMaxAdapterRank);
    const int64_t rank = config.rank;
    const auto adapter = AdapterFolder::FromFile(
        {"adapter_model.safetensors", nullptr, WeightFormat::kSafetensors, ParseSafetensors(file, "fuzz").tensors},
        std::move(config), "fuzz");
    for (const AdaptedMatrix& matrix : adapter->Match(SmallModel())) {
      STABLELM_CHECK(matrix.a->shape == Shape({rank, matrix.entry.shape[1]}));
      STABLELM_CHECK(matrix.b->shape == Shape({matrix.entry.shape[0], rank}));
      for (const StoredTensor* tensor : {matrix.a, matrix.b}) {
        STABLELM_CHECK(tensor->offset + tensor->bytes <= file.size());
        STABLELM_CHECK(static_cast<uint64_t>(tensor->shape.NumElements()) * BytesOf(*tensor->dtype) == tensor->bytes);
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
