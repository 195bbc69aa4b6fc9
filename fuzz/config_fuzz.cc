// Parses any bytes as a config.json: it is read or refused with an Error; a config that was read can be written and
// read again. Parses the same bytes as a shard index.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "checkpoint/describe/config.h"
#include "checkpoint/describe/weight_table.h"
#include "checkpoint/huggingface/shard_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ModelConfig config = ParseConfig(text, "fuzz");
    const std::string written = WriteConfig(config, DType::kF16);
    const ModelConfig again = ParseConfig(written, "written");
    STABLELM_CHECK(WriteConfig(again, DType::kF16) == written);
    int64_t elements = 0;
    for (const WeightEntry& entry : WeightTable(config)) elements += entry.shape.NumElements();
    STABLELM_CHECK(elements == config.NumParameters());
  } catch (const Error& error) {
    STABLELM_CHECK(error.info().where.rfind("written", 0) != 0);  // our own file must be readable
  }
  try {
    ParseShardIndex(text, "fuzz");
  } catch (const Error&) {
  }
  return 0;
}
