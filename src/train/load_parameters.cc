#include "train/load_parameters.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "base/random.h"
#include "checkpoint/convert_rows.h"
#include "checkpoint/rewrite/initial_weights.h"
#include "ops/gradient_norm.h"
#include "ops/packed_matrix.h"

namespace stablelm {
namespace {

std::span<const float> AsFloats(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

void RoundAll(Parameters& parameters, ThreadPool& pool) {
  pool.ForRanges(parameters.table().trained_size(), kNormChunk,
                 [&](size_t begin, size_t end) { parameters.RoundWeights(begin, end); });
}

}  // namespace

void RequireTrainable(const ModelFolder& folder) {
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredTensor& tensor = folder.TensorOf(i);
    if (!IsQuantized(*tensor.dtype)) continue;
    throw Error({.where = folder.path().string() + ": tensor " + Quoted(folder.table()[i].name),
                 .what = "a model with quantized matrices cannot be trained",
                 .found = std::string(NameOf(*tensor.dtype)),
                 .expected = "fp32, fp16 or bf16",
                 .hint = "train adapters over it (`lora: {rank: 16}`), or train the model that it was quantized from"});
  }
}

void LoadParameters(const ModelFolder& folder, Parameters& parameters, ThreadPool& pool, bool show_progress) {
  RequireTrainable(folder);
  STABLELM_CHECK(folder.table().size() == parameters.table().entries().size());
  STABLELM_CHECK(folder.qkv_order() == parameters.qkv_order());
  uint64_t work = 0;
  for (size_t i = 0; i < folder.table().size(); ++i) work += folder.TensorOf(i).bytes;
  Progress progress("Loading weights", work, Progress::Unit::kBytes, show_progress);
  for (size_t i = 0; i < folder.table().size(); ++i) {
    const StoredRows stored(folder.FileOf(i), folder.TensorOf(i));
    RowConversion conversion = {
        .type = DType::kF32, .non_finite = NonFinite::kRefuse, .pool = &pool, .progress = &progress};
    if (folder.table()[i].IsMatrix()) conversion.group = static_cast<int64_t>(kPanelRows);
    ConvertRows(stored.source(), conversion,
                [&](int64_t first, std::span<const std::byte> rows) { parameters.SetRows(i, first, AsFloats(rows)); });
  }
  progress.Finish();
  RoundAll(parameters, pool);
}

void DrawParameters(uint64_t seed, Parameters& parameters, ThreadPool& pool) {
  DrawInitialWeights(parameters.config(), {.seed = seed, .pool = &pool},
                     [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
                       parameters.Set(entry, offset / sizeof(float), AsFloats(bytes));
                     });
  RoundAll(parameters, pool);
}

void DrawAdapters(Parameters& parameters, ThreadPool& pool) {
  const ParameterTable& table = parameters.table();
  STABLELM_CHECK(table.lora());
  const Philox random(table.lora()->seed);
  for (size_t i = 0; i < table.entries().size(); ++i) {
    const Parameter& p = table.entries()[i];
    if (p.part != AdapterPart::kA) continue;
    const size_t columns = static_cast<size_t>(p.weight.shape[1]);
    const double bound = 1 / std::sqrt(static_cast<double>(columns));
    // No stream of dropout (model/adapter.h): the adapter's key in it is beyond those of any model.
    const uint64_t stream = uint64_t{0xFFFFFFFF} << 32 | LoraKey(p.weight.kind, p.weight.layer);
    pool.ForEach(static_cast<size_t>(p.weight.shape[0]), [&](size_t row, size_t) {
      std::vector<float> values(columns);
      for (size_t c = 0; c < columns; ++c) {
        values[c] = static_cast<float>((2 * random.Uniform(stream, row * columns + c) - 1) * bound);
      }
      parameters.Set(i, row * columns, values);
    });
  }
}

}  // namespace stablelm
